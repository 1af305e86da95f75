"""A chart of figures over training steps, as SVG in the theme's colours.

Building the SVG as text costs a fraction of a millisecond where a matplotlib figure costs a quarter of a
second: it can be drawn anew several times a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.html import BRAND, GRID, INK, MUTED, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Axis", "Chart", "empty_chart", "ticks"]

LEFT, RIGHT, TOP, BOTTOM = 58, 26, 16, 34  # margins, for the marks and names of the axes


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers inside a range, about `count` of them.

    >>> ticks(0, 500)
    [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]
    >>> ticks(7.93, 8.41)
    [8.0, 8.1, 8.2, 8.3, 8.4]
    """
    span = max(high - low, 1e-12)
    size = 10.0 ** math.floor(math.log10(span / count))
    step = next(m * size for m in (1, 2, 5, 10) if m * size * count >= span)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        name: What it measures.
        low: The value at its start.
        high: The value at its end.
        marks: Where marks stand.
    """

    name: str
    low: float
    high: float
    marks: tuple[float, ...]

    def scale(self, start: float, end: float) -> Callable[[float], float]:
        """Where values lie if the axis goes from one coordinate to another; those outside lie at its ends."""
        low, high = self.low, self.high
        factor = (end - start) / (high - low)
        return lambda value: start + factor * ((low if value < low else min(value, high)) - low)


@dataclass(frozen=True)
class Chart:
    """The area of a chart: it places values and draws the axes.

    Attributes:
        title: What the chart says, in a sentence, for those who do not see it.
        width: Its width; it is scaled down where there is less room.
        height: Its height.
        across: The axis at the bottom.
        up: The axis on the left.
    """

    title: str
    width: int
    height: int
    across: Axis
    up: Axis

    @cached_property
    def x(self) -> Callable[[float], float]:
        """Where a value of the axis at the bottom lies, from the left."""
        return self.across.scale(LEFT, self.width - RIGHT)

    @cached_property
    def y(self) -> Callable[[float], float]:
        """Where a value of the axis on the left lies, from the top."""
        return self.up.scale(self.height - BOTTOM, TOP)

    def svg(self, *shapes: str) -> Markup:
        """The chart with its axes below everything else."""
        return _svg(self.title, self.width, self.height, join([self._axes(), *shapes]))

    def line(self, points: Iterable[tuple[float, float]], width: float, *, dashed: bool = False) -> Markup:
        """A line through points."""
        return Markup('<polyline points="{}" style="fill:none;stroke:{};stroke-width:{}"{}/>').format(
            self._path(points), BRAND, width, Markup(' stroke-dasharray="3 3"') if dashed else ""
        )

    def band(self, above: Iterable[tuple[float, float]], below: Iterable[tuple[float, float]]) -> Markup:
        """The area between two lines, both from left to right."""
        return Markup('<polygon points="{} {}" style="fill:{};fill-opacity:0.18"/>').format(
            self._path(above), self._path(reversed(list(below))), BRAND
        )

    def dot(self, x: float, y: float, radius: float) -> Markup:
        """A point that stands out."""
        return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}" style="fill:{}"/>').format(
            self.x(x), self.y(y), radius, BRAND
        )

    def limit(self, value: float, words: str) -> Markup:
        """A dashed line across the chart with words above it."""
        return Markup(
            '<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" style="stroke:{ink};stroke-width:1.2" '
            'stroke-dasharray="5 3"/><text x="{start}" y="{above:.1f}" style="fill:{ink}">{words}</text>'
        ).format(
            left=LEFT,
            right=self.width - RIGHT,
            start=LEFT + 4,
            y=self.y(value),
            above=self.y(value) - 4,
            ink=INK,
            words=words,
        )

    def words(self, x: float, y: float, words: str) -> Markup:
        """Small print below and to the right of a point."""
        return Markup('<text x="{:.1f}" y="{:.1f}" style="fill:{}">{}</text>').format(
            self.x(x) + 6, self.y(y) + 15, MUTED, words
        )

    def _path(self, points: Iterable[tuple[float, float]]) -> str:
        across, up = self.x, self.y
        return " ".join([f"{across(x):.1f},{up(y):.1f}" for x, y in points])

    def _axes(self) -> Markup:
        bottom, right = self.height - BOTTOM, self.width - RIGHT
        level = Markup(
            '<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" style="stroke:{grid}"/>'
            '<text x="{beside}" y="{middle:.1f}" text-anchor="end" style="fill:{muted}">{value:g}</text>'
        )
        levels = [
            level.format(
                left=LEFT,
                right=right,
                beside=LEFT - 6,
                y=self.y(value),
                middle=self.y(value) + 4,
                grid=GRID,
                muted=MUTED,
                value=value,
            )
            for value in self.up.marks
        ]
        place = Markup('<text x="{:.1f}" y="{}" text-anchor="middle" style="fill:{}">{:g}</text>')
        places = [place.format(self.x(value), bottom + 14, MUTED, value) for value in self.across.marks]
        names = Markup(
            '<text x="{centre}" y="{low}" text-anchor="middle" style="fill:{muted}">{across}</text>'
            '<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})" '
            'style="fill:{muted}">{up}</text>'
        ).format(
            centre=(LEFT + right) / 2,
            low=self.height - 5,
            middle=(TOP + bottom) / 2,
            muted=MUTED,
            across=self.across.name,
            up=self.up.name,
        )
        return join([*levels, *places, names])


def empty_chart(title: str, width: int, height: int, words: str, colour: str = MUTED) -> Markup:
    """A chart in whose place there are only words, as high as it will be.

    Args:
        title: What the chart would say, for those who do not see it.
        width: Its width.
        height: Its height.
        words: What stands in it.
        colour: Of the words.
    """
    content = Markup(
        '<rect x="{left}" y="{top}" width="{wide}" height="{high}" fill="none" style="stroke:{grid}"/>'
        '<text x="{centre}" y="{middle}" text-anchor="middle" style="fill:{colour}">{words}</text>'
    ).format(
        left=LEFT,
        top=TOP,
        wide=width - LEFT - RIGHT,
        high=height - TOP - BOTTOM,
        centre=width / 2,
        middle=height / 2,
        grid=GRID,
        colour=colour,
        words=words,
    )
    return _svg(title, width, height, content)


def _svg(title: str, width: int, height: int, content: str) -> Markup:
    return Markup(
        '<svg role="img" aria-label="{title}" viewBox="0 0 {width} {height}" style="display:block;width:100%;'
        'aspect-ratio:{width}/{height};font-size:11px"><title>{title}</title>{content}'
        "</svg>"
    ).format(title=title, width=width, height=height, content=content)
