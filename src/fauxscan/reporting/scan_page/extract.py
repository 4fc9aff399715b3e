"""What the page of a run shows, read from the tables: plain values, so that the page can be checked against them."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fauxscan
from fauxscan.params import Params
from fauxscan.records import Kind
from fauxscan.reporting.scan_page import pictures
from fauxscan.scanning.history import settings_files
from fauxscan.scanning.rows import Row
from fauxscan.scanning.tables import queries
from fauxscan.scanning.tables.queries import Tables

Extract = dict[str, Any]
MAX_FILES = 10_000  # rows of a page: more make it slow to open, and the tables have them all
MOST_SUSPICIOUS = 30  # files that are shown with the score of each model
MOST_VIDEOS = 12  # videos that are shown with their time line
MAX_CHANGES = 500
MAX_POINTS = 300  # of the time line of a track
BINS = 20
FILE_COLUMNS = (
    "path", "verdict", "p_fake", "status", "detail", "change", "kind", "format", "width", "height", "duration_s",
    "faces", "size", "sha256",
)  # fmt: skip
MODEL_FIGURES = (
    "dataset", "reals", "fakes", "auc", "auc_low", "auc_high", "false_positive_rate", "true_positive_rate", "revision",
)  # fmt: skip


def read(results: Path, params: Params, run: str = "latest") -> Extract:
    """Return the state of the root of a run when the run ended, and what the run changed.

    Pictures are read from the files within the limits of the parameters. `run` is named as in `Tables.run`. Counts are
    of all files; the lists are cut to the limits of this module, and the extract says how many entries were left out.
    Raise ResultsError for missing results or an unknown run.
    """
    with queries.open_tables(results) as tables:
        shown = tables.run(run)
        files = tables.latest(root=shown["root"], run=shown["run_id"]).read_all()
        rows: list[Row] = sorted(files.to_pylist(), key=_suspicion)
        videos = [row for row in rows if row["kind"] == Kind.VIDEO]
        before = tables.run_before(shown)
        earlier = tables.latest(root=shown["root"], run=before).read_all().to_pylist() if before else []
        return {
            "made": {"at": datetime.now(UTC).isoformat(timespec="seconds"), "fauxscan": fauxscan.__version__},
            "run": shown | {"before": before},
            "counts": {name: dict(Counter(row[name] for row in rows if row[name])) for name in ("verdict", "status")},
            "models": _models(tables, shown),
            "calibrations": _calibrations(results, {row["settings"] for row in rows} | {shown["settings"]}),
            "changes": _changes(tables, shown, before),
            "histogram": {"now": histogram(rows), "before": histogram(earlier) if before else None},
            "suspicious": _exhibits(tables, shown, rows[:MOST_SUSPICIOUS], params),
            "videos": _exhibits(tables, shown, videos[:MOST_VIDEOS], params),
            "files": [{name: row[name] for name in FILE_COLUMNS} for row in rows[:MAX_FILES]],
            "files_left_out": max(0, len(rows) - MAX_FILES),
        }


def histogram(rows: Sequence[Row]) -> list[int]:
    """Return the number of files in each of BINS equal parts of p_fake from 0 to 1. The last part includes 1."""
    counts = Counter(min(int(row["p_fake"] * BINS), BINS - 1) for row in rows if row["p_fake"] is not None)
    return [counts[number] for number in range(BINS)]


def _suspicion(row: Row) -> tuple[float, str]:
    return (2.0 if row["p_fake"] is None else -row["p_fake"], row["path"])


def _models(tables: Tables, run: Row) -> list[Row]:
    """Return the models of the run, each with every dataset that it was measured on."""
    own = {(model["name"], model["model_digest"]) for model in run["models"]}
    known = [row for row in tables.models().read_all().to_pylist() if row["root"] == run["root"]]
    figures = {name: [row for row in known if (row["model"], row["model_digest"]) == name] for name in own}
    return [
        {
            "name": name,
            "digest": digest,
            "measured": [_measured(row) for row in figures[name, digest] if row["dataset"]],
        }
        for name, digest in sorted(own)
    ]


def _measured(row: Row) -> Row:
    return {name: row[name] for name in MODEL_FIGURES}


def _calibrations(results: Path, digests: set[str]) -> dict[str, Any]:
    """Return the calibration of each model by the digest of the settings. Settings of older versions have none."""
    found = {digest: settings_files.read(results, digest) for digest in sorted(digests)}
    return {
        digest: {name: one.model_dump(mode="json") if one else None for name, one in calibrations.items()}
        for digest, calibrations in found.items()
        if calibrations is not None
    }


def _changes(tables: Tables, run: Row, before: str | None) -> Extract:
    """Return what differs from the run before under the same root."""
    if before is None:
        return {"files": [], "left_out": 0}
    rows = tables.differences(before, run["run_id"], run["root"]).read_all()
    names = ("path", "difference", "moved_from", "status_before", "status_after", "verdict_before", "verdict_after",
             "p_fake_before", "p_fake_after")  # fmt: skip
    shown = rows.select(names).slice(0, MAX_CHANGES).to_pylist()
    return {"files": shown, "left_out": max(0, len(rows) - MAX_CHANGES)}


def _exhibits(tables: Tables, run: Row, rows: Sequence[Row], params: Params) -> list[Extract]:
    """Return the files that were judged, each with its scores by model and face or track, and a picture.

    The picture of a video is the frame with the highest score.
    """
    chosen = [row for row in rows if row["p_fake"] is not None]
    scores = tables.scores({(row["sha256"], row["settings"]) for row in chosen}).read_all().to_pylist()
    by_content: dict[tuple[str, str], list[Row]] = {}
    for score in scores:
        by_content.setdefault((score["sha256"], score["settings"]), []).append(score)
    scored = [tracks(by_content.get((row["sha256"], row["settings"]), [])) for row in chosen]
    frames = [max(ofs, key=lambda one: one["highest"] or 0)["highest_frame"] if ofs else 0 for ofs in scored]
    seen = pictures.read(run["root"], chosen, frames, params)
    return [
        {**{name: row[name] for name in FILE_COLUMNS}, "settings": row["settings"], "tracks": ofs, "frame": frame,
         "picture": picture}
        for row, ofs, frame, picture in zip(chosen, scored, frames, seen, strict=True)
    ]  # fmt: skip


def tracks(scores: Sequence[Row]) -> list[Extract]:
    """Return the scores of a file grouped by model and track, or face of an image: highest, mean, box and time line."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for score in scores:
        groups.setdefault((score["model"], score["framing"], score["track"], _face(score)), []).append(score)
    return [_track(key, group) for key, group in sorted(groups.items(), key=lambda item: str(item[0]))]


def _face(score: Row) -> int | None:
    """Return the number of the face in an image; in a video the track tells faces apart."""
    return int(score["face"]) if score["time_s"] is None and score["face"] is not None else None


def _track(key: tuple[Any, ...], group: Sequence[Row]) -> Extract:
    judged = [score for score in group if score["p_fake"] is not None]
    highest = max(judged, key=lambda score: score["p_fake"], default=None)
    timed = [[round(one["time_s"], 2), round(one["p_fake"], 4)] for one in judged if one["time_s"] is not None]
    step = -(-len(timed) // MAX_POINTS) or 1
    return {
        "model": key[0],
        "framing": key[1],
        "track": key[2],
        "face": key[3],
        "frames": len(group),
        "highest": highest and highest["p_fake"],
        "highest_frame": highest["frame"] if highest else 0,
        "highest_at_s": highest and highest["time_s"],
        "box": [round(highest[side]) for side in "xywh"] if highest and highest["x"] is not None else None,
        "mean": sum(one["p_fake"] for one in judged) / len(judged) if judged else None,
        "timeline": sorted(timed)[::step],
    }
