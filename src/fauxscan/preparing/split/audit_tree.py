"""Audits outside the pipeline: of a dataset that it prepared, or of a folder before training on it."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from fauxscan import datasets
from fauxscan.params import Params, SplitParams
from fauxscan.preparing.download import index as indexing
from fauxscan.preparing.faces.extract import extract_faces
from fauxscan.preparing.faces.extractor import FaceExtractor
from fauxscan.preparing.split import assign, audit, near_duplicates
from fauxscan.records import TRAIN, UserError


def audit_prepared(folder: Path, params: SplitParams) -> dict[str, Any]:
    """Return the audit of a dataset's folder after the stage `split`. Raise UserError if the stage did not run."""
    file, report = folder / "split.parquet", folder / "audit.json"
    if not report.is_file():
        raise UserError(
            f"{folder} has no {report.name}: name the folder of a dataset, such as data/demo, after its stage `split`"
            " has run; or any folder, with --label for each of its subfolders"
        )
    recorded: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    if not file.is_file():  # the stage failed because of this report
        return recorded
    splits: pd.DataFrame = pq.read_table(file, columns=["sha256", "source", "group", "split"]).to_pandas()
    table = assign.read_usable_files(folder / "faces")
    pairs = assign.find_near_duplicates(folder / "faces", table, params.near_duplicate_bits)
    used = params.model_copy(update={"by": recorded["by"]})
    return audit.audit(table.drop(columns=["source", "split"]).merge(splits, on="sha256"), pairs, used)


def audit_tree(root: Path, labels: dict[str, str], splits: dict[str, str], params: Params) -> dict[str, Any]:
    """Return the audit of a folder with labelled subfolders; files in no split count as training. Raise UserError.

    `by` is `folders`, or None without `splits`: nothing can leak across a split that the folder does not have.
    """
    table, pairs, copies = _read_tree(root, labels, splits, params)
    group = near_duplicates.groups(table, pairs, assign.TOKENS["official"])
    result = audit.audit(table.assign(group=group, split=table["split"].fillna(TRAIN)), pairs, params.split)
    result["by"] = "folders" if splits else None
    if not splits:
        result["leaking"], result["leaks"] = {}, {}
    conflicts = [f"{copy.path} = {copy.duplicate_of}" for copy in copies if copy.conflicting]
    result["leaking"]["exact_copies"], result["leaks"]["exact_copies"] = len(conflicts), conflicts[: audit.NAMED]
    return result


def read_sources(root: Path, labels: dict[str, str], params: Params, source: str | None = None) -> pd.DataFrame:
    """Return the usable files of a folder with labelled subfolders: sha256, path, label, generator and source.

    `source` is a regular expression as in `datasets/folder.py`. Without a match, files in one subfolder of a labelled
    folder share a source; near-duplicates always do. Raise UserError.
    """
    table, pairs, _ = _read_tree(root, labels, {}, params, source)
    group = near_duplicates.groups(table, pairs, assign.TOKENS["source"])
    table = table.assign(source=group, generator=table["generator"].fillna(""))
    return table[["sha256", "path", "label", "generator", "source"]]


def _read_tree(
    root: Path, labels: dict[str, str], splits: dict[str, str], params: Params, source: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, list[indexing.Duplicate]]:
    """Return the usable files of a labelled folder, the pairs of near-duplicates, and the exact copies."""
    if not root.is_dir():
        raise UserError(f"there is no folder {root}")
    module = datasets.get("folder")
    with tempfile.TemporaryDirectory() as temporary:
        index, faces = Path(temporary, "index.parquet"), Path(temporary, "faces")
        examples = module.examples(root, labels=labels, splits=splits, source=source)
        copies = indexing.write_index(examples, root, index, module.CARD, None)
        extractor = FaceExtractor(root, "whole", params.media, params.faces, keep_images=False)
        extract_faces(index, root, faces, extractor, params.scan.worker_count)
        table = assign.read_usable_files(faces)
        pairs = assign.find_near_duplicates(faces, table, params.split.near_duplicate_bits)
    return table, pairs, copies
