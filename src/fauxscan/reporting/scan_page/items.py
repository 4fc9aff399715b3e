"""The files that are shown with pictures: the score of each model, the tracks of a video, and the frames to show."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from fauxscan.judging.aggregation import media_logit
from fauxscan.judging.ensemble import logit, sigmoid
from fauxscan.records import Kind
from fauxscan.reporting.scan_page.contents import Box, Item, Picture, Score, Track
from fauxscan.scanning.rows import Row

PEAKS = 3  # frames of a video that are shown
APART = 0.05  # of the video: a second peak at once after the first shows nothing new


def item(row: Row, scores: Sequence[Row], frames: int) -> Item:
    """Return a file with at most `frames` pictures, which have no pixels yet, from its rows of `media` and `scores`."""
    of_video = row["kind"] == Kind.VIDEO
    chosen = peaks(scores, frames) if of_video else [0]
    return Item(
        **{name: row[name] for name in ("path", "sha256", "kind", "verdict", "p_fake", "detail")},
        scores=model_scores(scores),
        pictures=tuple(picture(frame, scores) for frame in chosen),
        tracks=tracks(scores) if of_video and frames > 1 else (),
    )


def model_scores(scores: Iterable[Row]) -> tuple[Score, ...]:
    """Return the calibrated p_fake that each model gives a file: that of its highest track, as in a scan."""
    by_model: defaultdict[str, list[Row]] = defaultdict(list)
    for row in scores:
        by_model[row["model"]].append(row)
    return tuple(Score(model=model, p_fake=_of_file(rows)) for model, rows in by_model.items())


def _of_file(rows: Sequence[Row]) -> float | None:
    known = [row for row in rows if row["p_fake"] is not None]
    if not known:
        return None
    return sigmoid(media_logit([logit(row["p_fake"]) for row in known], [row["track"] for row in known]))


def picture(frame: int, scores: Iterable[Row]) -> Picture:
    """Return the picture of a frame, without pixels, with the faces that were judged in it."""
    rows = [row for row in scores if row["frame"] == frame]
    boxes: dict[int, list[Row]] = {}
    for row in rows:
        if row.get("face") is not None:
            boxes.setdefault(row["face"], []).append(row)
    time_s = next((row["time_s"] for row in rows), None)
    return Picture(frame=frame, time_s=time_s, boxes=tuple(map(_box, boxes.values())))


def _box(rows: Sequence[Row]) -> Box:
    place = {name: rows[0][name] for name in ("track", "x", "y", "w", "h")}
    return Box(**place, scores=tuple(Score(model=row["model"], p_fake=row["p_fake"]) for row in rows))


def tracks(scores: Iterable[Row]) -> tuple[Track, ...]:
    """Return the scores of each model along each track, in the order of time."""
    found: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in scores:
        found[row["model"], row["track"]].append(row)
    return tuple(
        Track(
            model=model,
            track=track,
            times_s=tuple(row["time_s"] or 0.0 for row in rows),
            p_fake=tuple(row["p_fake"] for row in rows),
        )
        for (model, track), rows in sorted(found.items())
    )


def peaks(scores: Iterable[Row], count: int) -> list[int]:
    """Return the frames with the highest scores, in the order of time and some way apart."""
    height, times = _heights(scores)
    apart = APART * max(times.values(), default=0.0)
    chosen: list[int] = []
    for frame in sorted(height, key=lambda frame: -height[frame]):
        if len(chosen) < count and all(abs(times[frame] - times[one]) >= apart for one in chosen):
            chosen.append(frame)
    return sorted(chosen)


def _heights(scores: Iterable[Row]) -> tuple[Mapping[int, float], Mapping[int, float]]:
    """Return the mean of the models' calibrated logits at the highest face of each frame, and the times in seconds."""
    logits: defaultdict[int, defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    times: dict[int, float] = {}
    for row in scores:
        if row["p_fake"] is not None:
            logits[row["frame"]][row["track"]].append(logit(row["p_fake"]))
            times[row["frame"]] = row["time_s"] or 0.0
    height = {frame: max(sum(of) / len(of) for of in faces.values()) for frame, faces in logits.items()}
    return height, times
