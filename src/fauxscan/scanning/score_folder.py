"""Scores of a whole folder for the DAG: the tables of a scan without the columns that differ between runs."""

from pathlib import Path
from tempfile import TemporaryDirectory

from fauxscan.params import Params
from fauxscan.records import Framing
from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.tables import parquet, schemas
from fauxscan.scanning.tables.commits import SORT_KEYS
from fauxscan.scanning.tables.schemas import MEDIA, SCORES

RUN_COLUMNS = ["run_id", "root", "mtime_ns", "etag"]


def score_folder(folder: Path, models: list[Path], params: Params, out: Path, faces: Framing = "auto") -> None:
    """Write `media.parquet` and `scores.parquet` of a folder to `out`; the same files give the same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out) as results:
        scan.scan(folder, Path(results), Engine(settings.read(params, models, faces, cards_alone=True)))
        for schema in (MEDIA, SCORES):
            name = schemas.name_of(schema)
            rows = parquet.read(Path(results), schema).sort_by(SORT_KEYS[name])
            rows = rows.drop_columns([column for column in RUN_COLUMNS if column in schema.names])
            parquet.write(rows, out / f"{name}.parquet", Path(results))
