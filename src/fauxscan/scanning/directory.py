"""Whole directories for the DAG: the scan's tables, through the same code, without what differs between runs."""

from pathlib import Path
from tempfile import TemporaryDirectory

from fauxscan.params import Params
from fauxscan.scanning import scan, settings, tables
from fauxscan.scanning.commits import ORDER
from fauxscan.scanning.engine import Engine
from fauxscan.scanning.settings import Mode
from fauxscan.scanning.tables import MEDIA, SCORES

OF_A_RUN = ["run_id", "root", "mtime_ns", "etag"]


def score_folder(folder: Path, models: list[Path], params: Params, out: Path, faces: Mode = "detect") -> None:
    """Write `media.parquet` and `scores.parquet` of all under `folder` to `out`; the same files give the same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out) as results:
        scan.scan(folder, Path(results), Engine(settings.read(params, models, faces)))
        for schema in (MEDIA, SCORES):
            name = tables.name_of(schema)
            rows = tables.read(Path(results), schema).sort_by(ORDER[name])
            rows = rows.drop_columns([column for column in OF_A_RUN if column in schema.names])
            tables.write(rows, out / f"{name}.parquet", Path(results))
