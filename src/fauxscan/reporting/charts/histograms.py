"""Histograms: how the scores of a scan are distributed, over those of earlier scans."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fauxscan.reporting.charts import svg
from fauxscan.reporting.charts.svg import NARROW, Frame

HEIGHT = 250
GAP = 1.0  # pixels between bars
CLASSES = 4  # of lines for earlier scans; older ones look alike


@dataclass(frozen=True)
class Counts:
    """How many files are in each of the equal parts of 0..1."""

    name: str
    files: Sequence[int]

    @property
    def shares(self) -> list[float]:
        """Return the share of the files in each part."""
        total = sum(self.files) or 1
        return [files / total for files in self.files]


def draw(now: Counts, earlier: Sequence[Counts], title: str, limits: Sequence[tuple[str, float]], width: int) -> Markup:
    """Return the shares of one distribution as bars, those of others as stepped lines, and limits as dashed lines."""
    highest = max((share for one in (now, *earlier) for share in one.shares), default=0.0)
    top = svg.ticks(highest * 1.1, 4)
    frame = Frame(width, HEIGHT, 1.0, max(top[-1], highest * 1.05) or 1.0)
    x_ticks = (0, 0.5, 1) if width == NARROW else (0, 0.2, 0.4, 0.6, 0.8, 1)
    parts = [frame.axes(x_ticks, top, "p_fake", ".0%"), *_bars(frame, now)]
    parts += [_steps(frame, one, min(number, CLASSES - 1)) for number, one in enumerate(earlier)]
    for name, limit in limits:
        parts.append(svg.line("limit", frame.x(limit), frame.y(0), frame.x(limit), svg.TOP))
        parts.append(svg.text(frame.x(limit) - 4, svg.TOP + 10, name, "end", "limit-name"))
    return svg.drawing(frame, title, parts)


def _bars(frame: Frame, counts: Counts) -> list[Markup]:
    each = 1 / len(counts.files)
    bars = []
    for number, (files, share) in enumerate(zip(counts.files, counts.shares, strict=True)):
        if files:
            left, right, top = frame.x(number * each) + GAP, frame.x((number + 1) * each), frame.y(share)
            bars.append(
                Markup('<rect class="bar" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                    round(left, 1), top, round(right - left, 1), round(frame.y(0) - top, 1),
                    f"p_fake {number * each:.2f} to {(number + 1) * each:.2f}: {files} files ({share:.1%})",
                )
            )  # fmt: skip
    return bars


def _steps(frame: Frame, counts: Counts, style: int) -> Markup:
    each = 1 / len(counts.files)
    corners = [
        (frame.x((number + end) * each), frame.y(share)) for number, share in enumerate(counts.shares) for end in (0, 1)
    ]
    points = " ".join(f"{x},{y}" for x, y in corners)
    return Markup('<polyline class="earlier e{}" points="{}"><title>{}</title></polyline>').format(
        style, points, counts.name
    )
