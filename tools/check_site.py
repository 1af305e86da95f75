"""Check that the built documentation needs nothing from elsewhere: python tools/check_site.py FOLDER.

Links to other places are fine; scripts, styles, fonts, pictures and frames from there are not.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

ELSEWHERE = re.compile(r"\s*(https?:)?//")
IN_STYLE = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])(?P<address>(?:https?:)?//[^"')\s]+)""")
LOADED_LINKS = {"stylesheet", "preload", "modulepreload", "icon", "manifest", "preconnect", "dns-prefetch"}


class Loaded(HTMLParser):
    """Collects the addresses that a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        values = {name: value or "" for name, value in attributes}
        if tag == "link":
            if LOADED_LINKS & set(values.get("rel", "").split()):
                self.addresses.append(values.get("href", ""))
        elif tag != "a":
            self.addresses += [values.get(name, "") for name in ("src", "srcset", "poster", "data")]


def from_elsewhere(folder: Path) -> list[str]:
    """What the pages and styles of a site load from other hosts, as 'file: address'."""
    found = []
    for path in sorted(folder.rglob("*.html")):
        page = Loaded()
        text = path.read_text(encoding="utf-8")
        page.feed(text)
        styles = IN_STYLE.findall("".join(re.findall(r"<style.*?</style>", text, re.DOTALL)))
        found += [f"{path}: {address}" for address in (*page.addresses, *styles) if ELSEWHERE.match(address)]
    for path in sorted(folder.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        found += [f"{path}: {address}" for address in IN_STYLE.findall(text)]
    return found


def main(folder: Path) -> int:
    """Print what is loaded from elsewhere; 1 if there is anything, or no page at all."""
    pages = len(list(folder.rglob("*.html")))
    found = from_elsewhere(folder)
    print(
        *found, f"{pages} pages load nothing from elsewhere." if pages and not found else "NOT ok", sep="\n"
    )
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
