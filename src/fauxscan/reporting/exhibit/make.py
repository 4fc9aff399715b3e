"""Judge one file and make the extract of its page."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from fauxscan import disk
from fauxscan.records import InputError, Kind, Status
from fauxscan.reporting.exhibit import propositions
from fauxscan.reporting.exhibit.contents import Exhibit, Fact
from fauxscan.reporting.scan_page import cards, items, judged_by, pictures
from fauxscan.reporting.scan_page.contents import Item
from fauxscan.reporting.scan_page.remedies import remedy
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.engine.given import GivenFiles
from fauxscan.scanning.rows import Outcome
from fauxscan.scanning.settings import Settings

SIDE = 640  # pixels of the longer side of a picture
FRAMES = 6  # of a video, those with the highest scores
CHANGED = "The file changed while it was judged: what this page says may be about other bytes. Judge it again."


def make(file: Path, engine: Engine, options: Sequence[str]) -> Exhibit:
    """Judge a file and return the extract of its page.

    `options` are those with which `fauxscan check` judges it in the same way. Raise InputError if the file cannot be
    read, and what `Engine.check` raises.
    """
    before, modified = _digest(file), datetime.fromtimestamp(file.stat().st_mtime, UTC)
    with engine:
        (outcome,) = engine.check([file])
    item, about = _shown(file, outcome, engine.settings)
    after = _digest(file)
    known, kind = cards.of_settings(engine.settings), Kind(outcome.kind or Kind.IMAGE)
    models = judged_by.models(engine.settings.models, known, (), kind)
    judged = outcome.p_fake is not None and outcome.verdict is not None
    return Exhibit(
        made_at=datetime.now(UTC),
        made_by=version("fauxscan"),
        path=str(file.absolute()),
        sha256_before=before,
        sha256_judged=outcome.sha256,
        sha256_after=after,
        md5=_digest(file, "md5"),
        facts=(*_facts(outcome, modified), *(Fact(name=name, value=value) for name, value in about.items())),
        status=outcome.status,
        remedy="" if outcome.status == Status.OK else remedy(outcome.status),
        conclusion=propositions.conclusion(outcome.verdict),
        propositions=propositions.both(outcome, models) if judged else (),
        models=models,
        settings=judged_by.setting_records(engine.settings),
        settings_digest=engine.settings.digest,
        item=item,
        repeat=_commands(file, options),
        notes=(CHANGED,) if before != after or outcome.sha256 not in (None, before) else (),
        **{name: getattr(outcome, name) for name in ("verdict", "p_fake", "detail")},
    )


def _digest(file: Path, algorithm: str = "sha256") -> str:
    try:
        return disk.digest(file, algorithm)
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}. Name a results folder, or an image or video that you may read"
        ) from error


def _shown(file: Path, outcome: Outcome, limits: Settings) -> tuple[Item | None, Mapping[str, str]]:
    """Return the file with pictures and scores, and what it says about itself; without the first if it failed."""
    if outcome.status != Status.OK or outcome.sha256 is None:
        return None, {}
    row = {**outcome.columns, "path": file.name}
    item = items.item(row, outcome.scores, FRAMES)
    reader = pictures.Reader(GivenFiles([file]), limits, SIDE)
    found = reader.read(pictures.wanted({outcome.sha256: b"0"}, [item]))  # the first of the given files
    about = next((one.about for one in found.values() if not isinstance(one, str)), {})
    return pictures.with_pictures(item, found), about


def _facts(outcome: Outcome, modified: datetime) -> Iterator[Fact]:
    """Yield what was measured on the file, by name."""
    known = {
        "size": None if outcome.size is None else f"{outcome.size} bytes",
        "last modified": f"{modified:%Y-%m-%d %H:%M:%S} UTC, as the file system says",
        "kind, by its first bytes": outcome.kind,
        "format, by its first bytes": outcome.format,
        "dimensions": None if outcome.width is None else f"{outcome.width} x {outcome.height} pixels, as displayed",
        "duration": None if outcome.duration_s is None else f"{outcome.duration_s:.2f} s",
        "looked at": None if outcome.seconds_seen is None else f"{outcome.seconds_seen:.2f} s",
        "faces found": None if outcome.faces is None else str(outcome.faces),
    }
    yield from (Fact(name=name, value=value) for name, value in known.items() if value is not None)


def _commands(file: Path, options: Sequence[str]) -> tuple[str, ...]:
    """Return the commands that repeat the judgement with the same version on another machine."""
    name = shlex.quote(str(file))
    return (
        f"pip install fauxscan=={version('fauxscan')}",
        f"sha256sum {name}",
        shlex.join(["fauxscan", "check", str(file), *options, "--format", "json"]),
    )
