"""What all charts share: a frame with axes, and escaped text. One unit is one pixel; a page never shrinks a chart."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

NARROW, WIDE = 340, 680  # pixels: for telephones, and for everything wider
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 40  # margins around the plot
TICK = 4


@dataclass(frozen=True)
class Frame:
    """The area of a plot: data from 0 to `x_end` and from 0 to `y_end` are mapped to pixels."""

    width: int
    height: int
    x_end: float
    y_end: float

    def x(self, value: float) -> float:
        """Return the horizontal position of a value, in pixels."""
        return round(LEFT + (self.width - LEFT - RIGHT) * value / (self.x_end or 1), 1)

    def y(self, value: float) -> float:
        """Return the vertical position of a value, in pixels."""
        return round(self.height - BOTTOM - (self.height - TOP - BOTTOM) * value / (self.y_end or 1), 1)

    def axes(self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_name: str, y_format: str = "g") -> Markup:
        """Return both axes with their ticks, the lines of the grid, and the name of the horizontal axis."""
        parts = []
        for tick in y_ticks:
            parts.append(line("grid", LEFT, self.y(tick), self.width - RIGHT, self.y(tick)))
            parts.append(text(LEFT - 2 * TICK, self.y(tick) + TICK, f"{tick:{y_format}}", "end"))
        for tick in x_ticks:
            parts.append(line("axis", self.x(tick), self.y(0), self.x(tick), self.y(0) + TICK))
            parts.append(text(self.x(tick), self.y(0) + 17, f"{tick:g}", "middle"))
        parts.append(line("axis", LEFT, self.y(0), self.width - RIGHT, self.y(0)))
        parts.append(text((LEFT + self.width - RIGHT) / 2, self.height - 5, x_name, "middle", "name"))
        return Markup("").join(parts)


def drawing(frame: Frame, title: str, parts: Sequence[Markup]) -> Markup:
    """Return a drawing with a title for readers of the screen. It is as wide as there is room, and never narrower."""
    size = f'viewBox="0 0 {frame.width} {frame.height}" style="min-width:{frame.width}px"'
    head = Markup('<svg class="chart {}" role="img" ').format("narrow" if frame.width == NARROW else "wide")
    return (
        head
        + Markup(size + ">")
        + Markup("<title>{}</title>").format(title)
        + Markup("").join(parts)
        + Markup("</svg>")
    )


def line(style: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """Return a line."""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(style, x1, y1, x2, y2)


def text(x: float, y: float, words: str, anchor: str = "start", style: str = "") -> Markup:
    """Return a text, escaped."""
    return Markup('<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>').format(
        x, y, anchor, style, escape(words)
    )


def ticks(end: float, most: int) -> list[float]:
    """Return round numbers from 0 to an end, at most `most` of them and one more."""
    if end <= 0:
        return [0.0]
    steps = [base * 10.0**power for power in range(-3, 9) for base in (1, 2, 5)]
    step = next((one for one in steps if end / one <= most), end)
    return [round(step * number, 6) for number in range(int(end / step + 1e-9) + 1)]
