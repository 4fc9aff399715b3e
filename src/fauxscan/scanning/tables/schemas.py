"""The tables of a scan: their names, columns and version."""

from collections.abc import Mapping

import pyarrow as pa

from fauxscan.records import Status, Verdict

VERSION = 4
# The version that introduced a column, as "table.column". In files of earlier versions the column is null.
ADDED: Mapping[str, int] = {
    "media.etag": 2, "media.seconds_seen": 3, "scores.framing": 3, "scores.logit_reencoded": 4,
}  # fmt: skip


def _schema(table: str, /, **fields: pa.DataType) -> pa.Schema:
    """Return the schema of a table, with its name and version in the metadata."""
    meta = {"fauxscan.table": table, "fauxscan.version": str(VERSION), "fauxscan.label": "p_fake: 1 = fake, 0 = real"}
    return pa.schema(list(fields.items()), metadata=meta)


# One row for each run. Counts are of all files under the root when the run ended; null if it was interrupted.
RUNS = _schema(
    "runs",
    run_id=pa.string(), root=pa.string(),
    started_at=pa.timestamp("us", tz="UTC"), finished_at=pa.timestamp("us", tz="UTC"),
    **{f"status_{status}": pa.int64() for status in Status},
    **{f"verdict_{verdict}": pa.int64() for verdict in Verdict},
    models=pa.list_(pa.struct([("name", pa.string()), ("model_digest", pa.string())])),
    settings=pa.string(), tool_version=pa.string(),
)  # fmt: skip

# One row for each file and run in which something about the file was new. `detail` gives the reason for a failure or
# for an uncertain verdict, and what a viewer of a verdict should know. `seconds_seen` is null for a file not judged.
MEDIA = _schema(
    "media",
    run_id=pa.string(), root=pa.string(), path=pa.string(), path_bytes=pa.binary(), change=pa.string(),
    sha256=pa.string(), size=pa.int64(), mtime_ns=pa.int64(), etag=pa.string(), kind=pa.string(), format=pa.string(),
    width=pa.int32(), height=pa.int32(), duration_s=pa.float64(), seconds_seen=pa.float64(), status=pa.string(),
    detail=pa.string(), faces=pa.int32(), p_fake=pa.float64(), verdict=pa.string(), settings=pa.string(),
)  # fmt: skip

# One row for each model and face, frame or whole image. `face` and the box are null for a frame or whole image.
# `logit_reencoded` is null unless the verdict was near its threshold and `scan.check_reencoded` was set.
SCORES = _schema(
    "scores",
    sha256=pa.string(), model=pa.string(), model_digest=pa.string(), frame=pa.int32(), time_s=pa.float64(),
    track=pa.int32(), face=pa.int32(), x=pa.float32(), y=pa.float32(), w=pa.float32(), h=pa.float32(),
    det_score=pa.float32(), framing=pa.string(), logit=pa.float32(), logit_reencoded=pa.float32(), p_fake=pa.float64(),
    settings=pa.string(),
)  # fmt: skip

# Boxes and landmarks of detected faces, without pixels, kept for `scan.keep_faces_days` so that later models need not
# detect them again. One row for each face; content without faces has one row whose `frame` is null. `found_with` is the
# digest of the settings that decide which faces are detected.
FACES = _schema(
    "faces",
    sha256=pa.string(), found_with=pa.string(), frame=pa.int32(), track=pa.int32(), face=pa.int32(),
    x=pa.float64(), y=pa.float64(), w=pa.float64(), h=pa.float64(),
    landmarks=pa.list_(pa.float32(), 10), det_score=pa.float64(),
)  # fmt: skip

# Measured accuracy of models, one file for each publication. One row for each model, dataset, unit, degradation and
# generator. `run_id` identifies the publication; `revision` is null for a project without git.
EVALUATIONS = _schema(
    "evaluations",
    run_id=pa.string(), published_at=pa.timestamp("us", tz="UTC"), revision=pa.string(), evaluation=pa.string(),
    model=pa.string(), model_digest=pa.string(), trained_on=pa.string(), dataset=pa.string(),
    unit=pa.string(), degradation=pa.string(), generator=pa.string(),
    reals=pa.int64(), fakes=pa.int64(), sources=pa.int64(), confidence=pa.float64(), majority=pa.float64(),
    **{f"{name}{end}": pa.float64() for name in ("accuracy", "even_accuracy", "auc") for end in ("", "_low", "_high")},
    even=pa.float64(), average_precision=pa.float64(), balanced_accuracy=pa.float64(),
    false_positive_rate=pa.float64(), true_positive_rate=pa.float64(), brier=pa.float64(),
    calibration_error=pa.float64(),
)  # fmt: skip
ALL = (RUNS, MEDIA, SCORES, FACES, EVALUATIONS)


def name_of(schema: pa.Schema) -> str:
    """Return the name of a table, which is also the name of its folder."""
    return str(schema.metadata[b"fauxscan.table"].decode())
