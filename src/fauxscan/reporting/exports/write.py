"""Write the current result of every file as one file, row by row."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fauxscan import disk
from fauxscan.reporting import scans
from fauxscan.reporting.exports import case
from fauxscan.scanning.rows import Row

if TYPE_CHECKING:
    from fauxscan.scanning.tables.queries import Tables


def write(
    tables: "Tables", form: str, out: Path, root: str | None, verdict: str | None, statuses: Collection[str]
) -> int:
    """Write the rows of `Tables.latest` as `csv`, `jsonl` or `case`, and return their number.

    `out` is replaced when everything is written; an error leaves it as it was. Raise ResultsError for an unknown root.
    """
    runs = {row["run_id"]: row for row in tables.runs().read_all().to_pylist()} if form == "case" else {}
    batches = tables.latest(root, verdict, statuses)
    count = 0

    def rows() -> Iterator[Row]:
        nonlocal count
        for batch in batches:
            count += len(batch)
            yield from batch.to_pylist()

    if form == "case":
        lines = case.lines(rows(), runs)
    elif form == "csv":
        lines = scans.csv_lines(rows(), batches.schema.names)
    else:
        lines = scans.json_objects(rows())
    with disk.atomic_write(out) as file:
        file.writelines(line.encode() for line in lines)
    return count
