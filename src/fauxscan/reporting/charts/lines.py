"""Lines over time: the scores of a video along its tracks."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fauxscan.reporting.charts import svg
from fauxscan.reporting.charts.svg import NARROW, Frame

HEIGHT = 210
SERIES = 6  # colours that can be distinguished


@dataclass(frozen=True)
class Series:
    """One line: its name, and the points at which it is known."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]


def draw(
    series: Sequence[Series], title: str, marks: Sequence[float], limits: Sequence[tuple[str, float]], width: int
) -> Markup:
    """Return lines of probabilities over seconds, with marks at some times, and named limits as dashed lines."""
    end = max((x for one in series for x in one.x), default=0.0)
    frame = Frame(width, HEIGHT, end or 1.0, 1.0)
    parts = [frame.axes(svg.ticks(end, 4 if width == NARROW else 10), (0, 0.25, 0.5, 0.75, 1), "seconds")]
    for name, limit in limits:
        parts.append(svg.line("limit", svg.LEFT, frame.y(limit), width - svg.RIGHT, frame.y(limit)))
        parts.append(svg.text(width - svg.RIGHT, frame.y(limit) - 4, name, "end", "limit-name"))
    parts += [svg.line("mark", frame.x(x), frame.y(0), frame.x(x), frame.y(1)) for x in marks]
    parts += [_line(frame, one, number) for number, one in enumerate(series)]
    return svg.drawing(frame, title, parts)


def _line(frame: Frame, one: Series, number: int) -> Markup:
    points = [(frame.x(x), frame.y(y)) for x, y in zip(one.x, one.y, strict=True) if y is not None]
    path = " ".join(f"{x},{y}" for x, y in points)
    style = f"series s{number % SERIES}"
    dots = [
        Markup('<circle class="dot s{}" cx="{}" cy="{}" r="3"><title>{}: {} s, p_fake {}</title></circle>').format(
            number % SERIES, frame.x(x), frame.y(y), one.name, round(x, 2), f"{y:.3f}"
        )
        for x, y in zip(one.x, one.y, strict=True)
        if y is not None
    ]
    return Markup('<polyline class="{}" points="{}"/>').format(style, path) + Markup("").join(dots)
