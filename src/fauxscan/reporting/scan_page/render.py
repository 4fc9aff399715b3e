"""Render the page of a scan from its extract alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fauxscan import disk
from fauxscan.records import Verdict
from fauxscan.reporting.charts import histograms, lines
from fauxscan.reporting.charts.histograms import Counts
from fauxscan.reporting.charts.lines import Series
from fauxscan.reporting.charts.svg import NARROW, WIDE
from fauxscan.reporting.pages import shell
from fauxscan.reporting.scan_page import contents
from fauxscan.reporting.scan_page.contents import Extract, File, Item, Model, Since
from fauxscan.reporting.scans import visible

TEMPLATE = "scan_page/page.html"
MEANINGS = {
    Verdict.LIKELY_SYNTHETIC: "at or above the threshold that few photographs reach",
    Verdict.UNCERTAIN: "between the thresholds, or judged by models that give no verdict on such files",
    Verdict.NO_INDICATION: "nothing was found, which does not show that a file is authentic",
}
HASH_DIGITS = 12
Limit = tuple[str, float]  # its name and its p_fake
COLUMNS: Sequence[dict[str, Any]] = (
    {"name": "file", "type": "text", "link": True, "style": "path wide"},
    {"name": "verdict", "type": "text", "badge": True, "filter": True},
    {"name": "p_fake", "type": "p"},
    {"name": "status", "type": "text", "filter": True},
    {"name": "in this run", "type": "text", "filter": True},
    {"name": "kind", "type": "text", "filter": True, "style": "screen-only"},
    {"name": "format", "type": "text", "style": "nowrap"},
    {"name": "bytes", "type": "number", "style": "screen-only"},
    {"name": "faces", "type": "number", "style": "screen-only"},
    {"name": "detail", "type": "text", "style": "wide"},
    {"name": "SHA-256", "type": "text", "style": "mono"},
)  # fmt: skip
CHANGES: Sequence[dict[str, Any]] = (
    {"name": "file", "type": "text", "style": "path wide", "link": True},
    {"name": "what changed", "type": "text", "filter": True},
    {"name": "verdict now", "type": "text", "badge": True, "filter": True},
    {"name": "p_fake now", "type": "p"},
    {"name": "verdict before", "type": "text", "badge": True},
    {"name": "p_fake before", "type": "p"},
    {"name": "status now", "type": "text"},
    {"name": "moved from", "type": "text", "style": "path"},
)


def write(extract: Extract, page: Path) -> None:
    """Write a page, and its extract beside it, each whole or not at all."""
    contents.save(extract, contents.beside(page))
    disk.write_text(page, html(extract))


def html(extract: Extract) -> str:
    """Return the page of an extract."""
    anchors = {item.sha256: f"item-{item.sha256}" for item in (*extract.videos, *extract.suspicious)}
    by_path = {file.path: anchors.get(file.sha256 or "", "") for file in extract.files}
    limits = thresholds(extract.models)
    return shell.render(
        TEMPLATE,
        f"Scan of {visible(extract.run.root)}",
        facts(extract),
        extract=extract,
        meanings=MEANINGS,
        distribution=distribution(extract, limits),
        timelines=[timeline(video, limits) for video in extract.videos],
        legends=[[one.name for one in series(video)] for video in extract.videos],
        files={"columns": COLUMNS, "rows": [file_row(file, anchors) for file in extract.files]},
        changes=change_table(extract.since, by_path) if extract.since else None,
        failures_by_status=failures_by_status(extract),
    )


def facts(extract: Extract) -> list[shell.Fact]:
    """Return what the page says under its title."""
    run = extract.run
    took = f", took {_duration((run.finished_at - run.started_at).total_seconds())}" if run.finished_at else ""
    ended = shell.when(run.finished_at) or "never: it was interrupted"
    return [
        ("Scan", run.run_id),
        ("Began", shell.when(run.started_at)),
        ("Ended", ended + took),
        ("Files", f"{extract.total:,}"),
        ("Models", ", ".join(f"{one.name} ({one.model_digest[:HASH_DIGITS]})" for one in extract.models)),
        ("Settings", f"digest {run.settings}, scanned by fauxscan {run.tool_version}"),
        ("Tables", extract.results),
        ("Page", f"made on {shell.when(extract.made_at)} by fauxscan {extract.made_by}, from the extract beside it"),
    ]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def thresholds(models: Sequence[Model]) -> list[Limit]:
    """Return the thresholds of the one model or ensemble that decides; none if several models decide together."""
    deciding = [one for one in models if one.kind == "ensemble"] or list(models)
    if len(deciding) != 1 or deciding[0].low is None or deciding[0].high is None:
        return []
    return [("no indication", deciding[0].low), ("likely synthetic", deciding[0].high)]


def distribution(extract: Extract, limits: Sequence[Limit]) -> list[Markup]:
    """Return the chart of the scores of this run over those of earlier runs, for two widths; none without scores."""
    now, *earlier = [Counts(shell.when(one.started_at), one.files) for one in extract.distributions]
    if not sum(now.files):
        return []
    title = f"Shares of files by p_fake after this run and {len(earlier)} earlier ones"
    return [histograms.draw(now, earlier, title, limits, width) for width in (NARROW, WIDE)]


def series(video: Item) -> list[Series]:
    """Return the lines of a video's chart: its tracks, those with the most scores first."""
    single = len({track.model for track in video.tracks}) == 1
    found = [
        Series(
            f"face {track.track + 1}" if single else f"{track.model}, face {track.track + 1}",
            track.times_s,
            track.p_fake,
        )
        for track in video.tracks
    ]
    return sorted(found, key=lambda one: -len(one.x))[: lines.SERIES]


def timeline(video: Item, limits: Sequence[Limit]) -> list[Markup]:
    """Return the chart of a video's scores over time, for two widths; the frames that are shown are marked."""
    marks = [picture.time_s for picture in video.pictures if picture.time_s is not None]
    title = f"p_fake of {visible(video.path)} over time"
    return [lines.draw(series(video), title, marks, limits, width) for width in (NARROW, WIDE)]


def file_row(file: File, anchors: dict[str, str]) -> list[Any]:
    """Return the row of a file in the table, with the place of its picture and its SHA-256 behind the columns."""
    form = ", ".join(filter(None, (file.format, f"{file.width} x {file.height}" if file.width else None)))
    sha256 = file.sha256 or ""
    shown = [visible(file.path), file.verdict or "", file.p_fake, file.status, file.change or "", file.kind or ""]
    more = [form, file.size, file.faces, visible(file.detail or ""), sha256[:HASH_DIGITS]]
    return [*shown, *more, anchors.get(sha256, ""), sha256]


def change_table(since: Since, anchors: dict[str, str]) -> dict[str, Any]:
    """Return the table of what changed."""
    rows = [
        [
            visible(one.path), one.difference, one.verdict_after or "", one.p_fake_after, one.verdict_before or "",
            one.p_fake_before, one.status_after or "", visible(one.moved_from or ""), anchors.get(one.path, ""),
        ]
        for one in since.files
    ]  # fmt: skip
    return {"columns": CHANGES, "rows": rows, "page_size": 20}


def failures_by_status(extract: Extract) -> dict[str, list[contents.Failure]]:
    """Return the reasons for failures of each status."""
    found: dict[str, list[contents.Failure]] = {}
    for one in extract.failures:
        found.setdefault(one.status, []).append(one)
    return found
