"""What the page of a scan shows: the records of its extract, which is saved as JSON beside the page.

Times are UTC, probabilities are those of being fake, boxes are in pixels of the image as displayed.
"""

from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from fauxscan import disk
from fauxscan.records import ResultsError, Strict

VERSION = 1


class Run(Strict):
    """The scan: what the table `runs` says about it."""

    run_id: str
    root: str
    started_at: datetime
    finished_at: datetime | None  # None: it was interrupted
    tool_version: str
    settings: str  # the digest of everything that decided the results


class Rate(Strict):
    """How often a model was wrong on data that its card names."""

    name: str  # of a collection of reals or of a generator
    files: int
    rate: float
    unseen_rate: float | None  # the rate at the threshold that the other groups alone give


class Figures(Strict):
    """What was measured on a test split, whose sources were not used in training."""

    data: str
    degradation: str
    reals: int
    fakes: int
    auc: str
    reals_called_fake: float | None  # share at the threshold of `likely_synthetic`
    fakes_detected: float | None
    source: str  # where the figures come from


class Model(Strict):
    """A model that judged, with what its card says. Without its card only the name and the digest are known."""

    name: str
    model_digest: str
    kind: str  # model or ensemble
    card: bool  # whether its card was found
    looks_at: str = ""
    trained_on: tuple[str, ...] = ()
    learned: str = ""  # what else is known about its training
    calibrated_on: str = ""
    high: float | None = None  # p_fake from which on a file is likely_synthetic
    low: float | None = None  # p_fake up to which there is no_indication
    aims: str = ""  # the error rates that the thresholds aim at
    reals_called_fake: tuple[Rate, ...] = ()
    fakes_missed: tuple[Rate, ...] = ()
    figures: tuple[Figures, ...] = ()
    cannot_tell: tuple[str, ...] = ()
    licence: str = ""


class Setting(Strict):
    """One parameter that decided the results."""

    name: str
    value: str


class File(Strict):
    """The result of one file when the run ended, from the table `media`."""

    path: str
    path_hex: str | None  # the bytes of a name that is not UTF-8
    change: str | None  # why the run wrote a row for it; None: nothing about it was new
    sha256: str | None
    kind: str | None
    format: str | None
    size: int | None
    width: int | None
    height: int | None
    duration_s: float | None
    faces: int | None
    status: str
    verdict: str | None
    p_fake: float | None
    detail: str | None
    settings: str | None  # None: those of the run


class Difference(Strict):
    """A file whose result changed since the run before, as `fauxscan diff` lists it."""

    path: str
    difference: str
    moved_from: str | None
    status_before: str | None
    status_after: str | None
    verdict_before: str | None
    verdict_after: str | None
    p_fake_before: float | None
    p_fake_after: float | None


class Since(Strict):
    """What is new since the last finished run on the same root."""

    run_id: str
    started_at: datetime
    total: int
    counts: dict[str, int]  # by difference
    files: tuple[Difference, ...]  # the first of them, most important first


class Score(Strict):
    """The score of one model."""

    model: str
    p_fake: float | None


class Box(Strict):
    """A face that was judged, and the scores of the models for it."""

    track: int  # the same for one face through a video
    x: float
    y: float
    w: float
    h: float
    scores: tuple[Score, ...]


class Picture(Strict):
    """An image, or a frame of a video, with the faces that were judged. Without a picture, `missing` says why."""

    frame: int
    time_s: float | None
    width: int | None = None  # of the image as displayed, before it was reduced
    height: int | None = None
    jpeg: str | None = None  # base64
    missing: str = ""
    boxes: tuple[Box, ...] = ()


class Track(Strict):
    """The scores of one model along one face of a video, or along its whole frames."""

    model: str
    track: int
    times_s: tuple[float, ...]
    p_fake: tuple[float | None, ...]


class Item(Strict):
    """A file that is shown with its picture: the scores of each model, and for a video those of each track."""

    path: str
    sha256: str
    kind: str
    verdict: str | None
    p_fake: float
    detail: str | None
    scores: tuple[Score, ...]
    pictures: tuple[Picture, ...]
    tracks: tuple[Track, ...] = ()


class Failure(Strict):
    """The files that could not be judged for one reason, and what to do."""

    status: str
    detail: str | None
    files: int
    examples: tuple[str, ...]
    remedy: str


class Histogram(Strict):
    """How the scores of all files under the root were distributed when a run ended."""

    run_id: str
    started_at: datetime
    files: tuple[int, ...]  # in equal parts of 0..1


class Extract(Strict):
    """Everything that the page of a scan shows."""

    version: int = VERSION
    made_at: datetime
    made_by: str  # the version of fauxscan that made this extract
    results: str  # the folder of the tables
    run: Run
    models: tuple[Model, ...]
    settings: tuple[Setting, ...]  # empty if the parameters of the run are not known here
    verdicts: dict[str, int]
    statuses: dict[str, int]
    since: Since | None  # None: there was no run before
    total: int  # files under the root
    files: tuple[File, ...]  # those with the highest p_fake first; at most `LISTED`
    suspicious: tuple[Item, ...]
    videos: tuple[Item, ...]
    failures: tuple[Failure, ...]
    distributions: tuple[Histogram, ...]  # of this run and of earlier ones, newest first
    notes: tuple[str, ...]  # what was left out, and why


def beside(page: Path) -> Path:
    """Return the file of the extract that a page was made from."""
    return page.with_suffix(".json")


def save(extract: Strict, file: Path) -> None:
    """Write the extract of a page as JSON, whole or not at all."""
    disk.write_text(file, extract.model_dump_json(indent=1) + "\n")


def load(file: Path) -> Extract:
    """Return the extract in a file. Raise ResultsError if it is not one of this version."""
    try:
        return Extract.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise ResultsError(f"{file} is not an extract of this version: {reason}; make the page again") from error
