"""Charts as SVG, drawn at a fixed size so that their text is never smaller than 12 px."""

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 330, 190  # px: the narrowest screen has 390
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 40  # px around the drawing
INNER_WIDTH, INNER_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
Point = Sequence[float]


def histogram(counts: Sequence[int], title: str) -> Markup:
    """Return bars for the number of files in equal parts of p_fake from 0 to 1."""
    top = max([*counts, 1])
    width = INNER_WIDTH / len(counts)
    bars = [
        f'<rect class="bar" x="{LEFT + number * width + 0.5:.1f}" y="{_y(count / top):.1f}" width="{width - 1:.1f}" '
        f'height="{INNER_HEIGHT * count / top:.1f}"><title>{number / len(counts):.2f} to '
        f"{(number + 1) / len(counts):.2f}: {count}</title></rect>"
        for number, count in enumerate(counts)
    ]
    marks = [(0.0, "0"), (1.0, f"{top:,}")]
    return _chart("".join(bars), title, marks, [(0.0, "0"), (0.5, "0.5"), (1.0, "1")], "p_fake")


def timeline(lines: Sequence[Sequence[Point]], title: str) -> Markup:
    """Return one line of p_fake over the seconds of a video for each list of points (second, p_fake)."""
    end = max((point[0] for line in lines for point in line), default=0.0) or 1.0
    drawn = "".join(_line(line, end, number) for number, line in enumerate(lines))
    marks = [(0.0, "0"), (0.5, "0.5"), (1.0, "1")]
    return _chart(drawn, title, marks, [(0.0, "0"), (1.0, f"{end:.1f}")], "seconds")


def _line(points: Sequence[Point], end: float, number: int) -> str:
    """Return one line with a dot at each point; the lines differ in their dashes too, not in colour alone."""
    places = [(LEFT + INNER_WIDTH * second / end, _y(p_fake)) for second, p_fake in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in places)
    return f'<g class="line line{number % 4}"><polyline points="{path}"/>{dots}</g>'


def _y(share: float) -> float:
    return TOP + INNER_HEIGHT * (1 - share)


def _chart(drawn: str, title: str, y_marks: Sequence[tuple[float, str]], x_marks: Sequence[tuple[float, str]],
           x_name: str) -> Markup:  # fmt: skip
    grid = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(at):.1f}" y2="{_y(at):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{_y(at) + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        for at, text in y_marks
    )
    below = "".join(
        f'<text x="{LEFT + INNER_WIDTH * at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{_anchor(at)}">'
        f"{escape(text)}</text>"
        for at, text in x_marks
    )
    name = f'<text x="{LEFT + INNER_WIDTH / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_name)}</text>'
    return Markup(
        f'<svg role="img" aria-label="{escape(title)}" width="{WIDTH}" height="{HEIGHT}">'
        f"{grid}{below}{name}{drawn}</svg>"
    )


def _anchor(at: float) -> str:
    return {0.0: "start", 1.0: "end"}.get(at, "middle")
