"""Make the extract of a run from the tables of a results folder."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from fauxscan.params import Params
from fauxscan.records import UserError, Verdict
from fauxscan.reporting.scan_page import cards, items, judged_by, pictures, reading
from fauxscan.reporting.scan_page.cards import Known
from fauxscan.reporting.scan_page.contents import Extract, Item
from fauxscan.reporting.scan_page.pictures import Place, Seen
from fauxscan.reporting.scan_page.reading import Files
from fauxscan.scanning import settings
from fauxscan.scanning.inputs import roots
from fauxscan.scanning.rows import Row, key_of
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.tables import queries
from fauxscan.scanning.tables.queries import Tables

UNKNOWN_SETTINGS = (
    "The parameters of the run are not known: with the parameters and models found here, a scan has another digest. "
    "Make the page in the folder of the scan's params.yaml, and name its models with --models."
)
NO_CARD = "No card was found for {names}: name the model's folder with --models."
REST = "The table lists the {listed} files with the highest p_fake of {total}. `fauxscan latest` lists all."
INTERRUPTED = "The scan was interrupted: files that it did not reach have the result of an earlier scan, or none."


def find(results: Path, word: str, params: Params, named: Sequence[str] = ()) -> Extract:
    """Return the extract of a run, with what is found on this machine about its models (see `cards.find`).

    Raise what `make` raises, and ModelError for a model that is named and does not exist.
    """
    with queries.open_tables(results) as tables:
        run = tables.run(word)
    known = cards.find(run, params, named)
    return make(results, run["run_id"], known, settings.without_models(params))


def make(results: Path, word: str, known: Known, limits: Settings) -> Extract:
    """Return the extract of the run that a word names (see `Tables.run`), with pictures of the files it shows.

    The files are read again with the limits of the run's settings, or with `limits` if these are not known. Raise
    ResultsError for missing or damaged results and for an unknown run.
    """
    with queries.open_tables(results) as tables:
        run = tables.run(word)
        files = reading.read_files(tables, run)
        extract = _without_pictures(tables, run, files, known)
    names = {row["sha256"]: key_of(row) for row in (*files.videos, *files.suspicious)}
    return _with_pictures(extract, names, known.settings or limits)


def _without_pictures(tables: Tables, run: Row, files: Files, known: Known) -> Extract:
    earlier, scores = reading.earlier_runs(tables, run), reading.score_rows(tables, files)
    evaluations = tables.evaluations([one["model_digest"] for one in run["models"]]).read_all().to_pylist()
    models = judged_by.models(run["models"], known, evaluations)

    def shown(rows: Sequence[Row], frames: int) -> tuple[Item, ...]:
        return tuple(items.item(row, scores.get((row["sha256"], row["settings"]), []), frames) for row in rows)

    return Extract(
        made_at=datetime.now(UTC),
        made_by=version("fauxscan"),
        results=str(tables.results.absolute()),
        run=reading.run_record(run),
        models=models,
        settings=judged_by.setting_records(known.settings),
        verdicts={str(verdict): files.verdicts[verdict] for verdict in Verdict},
        statuses={status: count for status, count in files.statuses.most_common() if count},
        since=reading.since(tables, run, earlier),
        total=files.total,
        files=tuple(reading.file_record(row, run) for row in files.listed),
        suspicious=shown(files.suspicious, 1),
        videos=shown(files.videos, items.PEAKS),
        failures=files.failures,
        distributions=reading.distributions(tables, run, earlier),
        notes=tuple(_notes(run, files, [one.name for one in models if not one.card], known)),
    )


def _notes(run: Row, files: Files, without_card: Sequence[str], known: Known) -> Iterator[str]:
    """Yield what a reader should know about what the page lacks."""
    if run["finished_at"] is None:
        yield INTERRUPTED
    if known.settings is None:
        yield UNKNOWN_SETTINGS
    if without_card:
        yield NO_CARD.format(names=", ".join(without_card))
    if files.total > len(files.listed):
        yield REST.format(listed=len(files.listed), total=files.total)


def _with_pictures(extract: Extract, names: Mapping[str, bytes], limits: Settings) -> Extract:
    """Return the extract with the pictures of its items. The frames of videos are those that the limits sample."""
    shown = [*extract.videos, *extract.suspicious]
    found = _pictures(extract.run.root, names, shown, limits)

    def filled(of: Sequence[Item]) -> tuple[Item, ...]:
        return tuple(pictures.with_pictures(item, found) for item in of)

    return extract.model_copy(update={"suspicious": filled(extract.suspicious), "videos": filled(extract.videos)})


def _pictures(
    root: str, names: Mapping[str, bytes], shown: Sequence[Item], limits: Settings
) -> Mapping[Place, Seen | str]:
    wanted = pictures.wanted(names, shown)
    try:
        return pictures.Reader(roots.root_at(root), limits).read(wanted)
    except UserError as error:  # such as a store whose package is not installed
        why = f"the files cannot be read again: {error}"
        return {(one.sha256, frame): why for one in wanted for frame in one.frames}
