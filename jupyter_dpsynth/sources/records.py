"""Records of a CSV file, in which one line that is broken costs no other line anything.

A quote that is never closed makes a parser take all lines behind it for one field, or end in an error that
tells of that line. Here such a line is left out, and the others are read as they would be without it.

A field may hold line breaks, so where a line ends within quotes the text up to the closing quote is read.
It belongs to the record only if the record is written as RFC 4180 asks for, with nothing between a closing
quote and the next separator, and has as many fields as the header. All else, which includes text in quotes of
more than a million bytes, is a line with a quote that is not closed.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["are_mostly_longer", "sound_records"]

BLOCK_BYTES = 2**21  # that are read at once
MOST_BYTES = 2**20  # of a record that goes over several lines
QUOTE, LINE_FEED, CARRIAGE_RETURN = b'"\n\r'
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def sound_records(file: BinaryIO, separator: str) -> io.BufferedReader:
    """A file's bytes without the lines in which a quote is not closed.

    Args:
        file: An open file of CSV; it is closed with what is returned.
        separator: What stands between fields, one character.
    """
    return io.BufferedReader(_SoundRecords(file, _Grammar(separator)), BLOCK_BYTES)


def are_mostly_longer(records: BinaryIO, separator: str) -> bool:
    """Whether most of the first lines have more fields than the header.

    A separator at the end of a line begins no field.

    Args:
        records: What `sound_records` returned.
        separator: What stands between fields, one character.
    """
    grammar = _Grammar(separator)
    lines = [line for line in records.read(MOST_BYTES).splitlines() if line.strip()]
    fields = [grammar.fields(line) - line.endswith(grammar.mark) for line in lines]
    return sum(count > fields[0] for count in fields) * 2 > len(fields) - 1 if fields else False


class _SoundRecords(io.RawIOBase):
    """Hands on what `_blocks` gives."""

    def __init__(self, file: BinaryIO, grammar: _Grammar) -> None:
        super().__init__()
        self._file, self._blocks, self._rest = file, _blocks(file, grammar), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        size = min(len(target), len(self._rest))
        target[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


class _Grammar:
    """How records are written.

    Args:
        separator: What stands between fields.

    Attributes:
        mark: The same as bytes.
        complete: Matches a line, without its end, after which pandas' parser is not within quotes.
        record: Matches a record that is written as RFC 4180 asks for, with its end.
    """

    def __init__(self, separator: str) -> None:
        self.mark = separator.encode()
        mark = re.escape(self.mark)
        quoted = rb'"[^"]*(?:""[^"]*)*"(?!")'
        # a quote within a field that does not begin with one is like any other character
        loose = rb"(?:%b[^%b]*|[^\"%b][^%b]*|)" % (quoted, mark, mark, mark)
        strict = rb"(?:%b|[^\"\r\n%b]*)" % (quoted, mark)
        self.complete = re.compile(rb"%b(?:%b%b)*" % (loose, mark, loose))
        self.record = re.compile(rb"%b(?:%b%b)*(?:\r\n|\r|\n|\Z)" % (strict, mark, strict))
        self._marks = re.compile(rb"%b|(%b)" % (quoted, mark))

    def fields(self, record: bytes) -> int:
        """Number of fields of a record."""
        return 1 + sum(each.group(1) is not None for each in self._marks.finditer(record))

    def end_of(self, text: bytes, start: int, fields: int) -> int | None:
        """Where a record ends that goes over several lines; None if it is none.

        Args:
            text: What begins with it at `start`, and goes on for more than a record may have.
            start: Where it begins.
            fields: How many fields it must have; an empty one behind them is left out. None counts if 0.
        """
        most = min(start + MOST_BYTES, len(text))
        found = self.record.match(text, start, most)
        if found is None or (found.end() == most < len(text)):
            return None
        content = found.group().rstrip(b"\r\n")
        count = self.fields(content)
        fits = not fields or count == fields or (count == fields + 1 and content.endswith(self.mark))
        return found.end() if fits else None


def _blocks(file: BinaryIO, grammar: _Grammar) -> Iterator[bytes]:
    """Blocks of whole records without those that are broken.

    Raises:
        ValueError: A quote in the header is not closed.
    """
    held, fields, ended = file.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK), 0, False
    while not ended:
        block = file.read(BLOCK_BYTES)
        held, ended = held + block, not block
        # a record that begins before this place is here as a whole, or is too long
        safe = len(held)
        if not ended:
            least = max(len(held) - MOST_BYTES, 0)
            safe = max(held.rfind(b"\n", 0, least), held.rfind(b"\r", 0, least)) + 1
            safe -= held[safe - 1 : safe + 1] == b"\r\n"
        place, kept = 0, []
        if not fields:
            place, fields = _header(held, grammar)
            kept.append(held[:place])
        while place < safe:
            place = _sound(held, place, safe, grammar, fields, kept)
        held = held[place:]
        yield b"".join(kept)


def _header(text: bytes, grammar: _Grammar) -> tuple[int, int]:
    """Where the first record ends that is not empty, and how many fields it has; zeros if there is none."""
    place = 0
    for line in text.splitlines(keepends=True):
        if line.strip():
            end = place + len(line) if _is_complete(line, grammar) else grammar.end_of(text, place, 0)
            if end is None:
                raise ValueError("a quote in the header is not closed")
            return end, grammar.fields(text[place:end].rstrip(b"\r\n"))
        place += len(line)
    return 0, 0


def _sound(text: bytes, start: int, end: int, grammar: _Grammar, fields: int, kept: list[bytes]) -> int:
    """Add the sound records between two places to `kept`; returns where the last one ends."""
    begin = resume = start
    for at, after_line in _odd_lines(text, start, end, grammar.mark):
        if at < resume or _is_complete(text[at:after_line], grammar):
            continue
        kept.append(text[begin:at])
        after = grammar.end_of(text, at, fields)
        begin, resume = (after_line, after_line) if after is None else (at, after)
    end = max(end, resume)
    kept.append(text[begin:end])
    return end


def _odd_lines(text: bytes, start: int, end: int, mark: bytes) -> Iterator[tuple[int, int]]:
    """Where lines begin and end that are not plainly whole: all but a few are found out together.

    In a line that is plainly whole every other quote stands at the beginning of a field, or behind another
    quote, and the quotes between them at the end of a field, or before another one.
    """
    part = np.frombuffer(text, np.uint8)[start:end]
    quotes = np.flatnonzero(part == QUOTE)
    if not len(quotes):
        return
    ends = np.flatnonzero((part == LINE_FEED) | (part == CARRIAGE_RETURN))
    line = np.searchsorted(ends, quotes)
    number = np.arange(len(quotes)) - np.searchsorted(line, line)  # of a quote in its line, from 0
    framed = np.concatenate([[LINE_FEED], part, [LINE_FEED]])
    beside = np.where(number % 2 == 0, framed[quotes], framed[quotes + 2])  # what is before, or behind it
    plain = np.isin(beside, [mark[0], QUOTE, LINE_FEED, CARRIAGE_RETURN])
    last = np.append(line[1:] != line[:-1], True)
    odd = np.unique(line[~plain | (last & (number % 2 == 0))])
    begins = np.concatenate([[0], ends + 1])
    stops = np.append(ends + 1, len(part))
    yield from zip((start + begins[odd]).tolist(), (start + stops[odd]).tolist(), strict=True)


def _is_complete(line: bytes, grammar: _Grammar) -> bool:
    return b'"' not in line or grammar.complete.fullmatch(line.rstrip(b"\r\n")) is not None
