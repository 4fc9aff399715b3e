"""The names under which fields of cards and parameters enter digests: frozen, whatever Python calls the fields.

A digest must stay the same when a field is renamed: otherwise every file would be scored again. Each table maps the
fields of one record to the keys that are hashed; None leaves a field out. A test fails when a field is in no table.
"""

from typing import Any

from pydantic import BaseModel

Names = dict[str, str | None]

MEDIA: Names = {
    "max_pixels": "max_pixels",
    "max_bytes": "max_bytes",
    "max_seconds": "max_seconds",
    "sampling": "sampling",
    "frames_per_second": "frames_per_second",
    "max_frames": "max_frames",
}
FACES: Names = {
    "detector": "detector",
    "working_size": "working_size",
    "score": "score",
    "min_size": "min_size",
    "max_faces": "max_faces",
    "margin": "margin",
    "size": "size",
    "search_every": "search_every",
}
FACE_SEARCH: Names = {**FACES, "margin": None, "size": None}  # how faces are cropped changes none that are found
REENCODE: Names = {"size": "size", "jpeg_quality": "jpeg_quality"}
CALIBRATION: Names = {
    "temperature": "temperature",
    "high": "high",
    "low": "low",
    "eer_threshold": "even",
    "false_positive_rate": "false_positive_rate",
    "false_negative_rate": "false_negative_rate",
    "reals": "reals",
    "fakes": "fakes",
    "evidence": None,  # hashed only where it withholds verdicts: otherwise it changes no judgement
    "collections": None,
    "generators": None,
    "guard": None,  # the thresholds have it
    "separate_videos": None,  # hashed with `videos`, and only if videos have thresholds of their own
    "videos": None,
}
EVIDENCE: Names = {
    "real_sources": "real_sources",
    "fake_sources": "fake_sources",
    "auc": "auc",
    "auc_low": "auc_low",
    "auc_high": "auc_high",
    "confidence": "confidence",
    "noise": "noise",
}
DENSE: Names = {"kernel": "kernel", "bias": "bias"}
ENSEMBLE: Names = {
    "name": "name",
    "method": "method",
    "dataset": "dataset",
    "layers": "layers",
    "digests": "digests",
    "calibration": "calibration",
    "proof_of_machinery": "proof_of_machinery",
    "clip": "clip",
    "disagreement": "disagreement",
}
WHERE_SET = (
    "clip",
    "disagreement",
)  # keys that came later: hashed only with a value, so that earlier cards keep their digests
# Only parts of a model's card change a judgement. Of its training data, only whether it was the demo.
MODEL: Names = {
    "name": "name",
    "detector": None,
    "options": None,
    "input_size": "input",
    "looks_at": "input",
    "faces": "faces",
    "recipe": None,
    "trained_on": "proof_of_machinery",
    "figures": None,
    "licence": None,
    "model_digest": "digest",
    "reencode": "align",
    "calibration": "calibration",
    "classes": None,
    "origin": None,
    "openvino": None,
    "backbone": None,  # it is part of the model's digest
}


def named(record: BaseModel | None, names: Names) -> dict[str, Any] | None:
    """Return the record's values as JSON has them, under their frozen names; None for None."""
    if record is None:
        return None
    values = record.model_dump(mode="json")
    named = {key: values[field] for field, key in names.items() if key is not None}
    return {key: value for key, value in named.items() if key not in WHERE_SET or value is not None}
