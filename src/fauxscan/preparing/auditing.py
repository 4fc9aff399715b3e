"""An audit outside the DAG: of what it prepared, or of a tree before it goes in."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from fauxscan import datasets
from fauxscan.params import Params, SplitParams
from fauxscan.preparing import audit, duplicates, splits
from fauxscan.preparing import faces as making
from fauxscan.preparing import index as indexing
from fauxscan.records import TRAIN, UserError


def of_prepared(folder: Path, params: SplitParams) -> dict[str, Any]:
    """Return the audit of a dataset's folder as the stage `split` left it. Raise UserError if it did not."""
    file, report = folder / "split.parquet", folder / "audit.json"
    if not report.is_file():
        raise UserError(
            f"{folder} has no {report.name}: name a dataset's folder, such as data/demo, after its stage `split` has"
            " run; or a tree, with --label for each of its folders"
        )
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    if not file.is_file():  # the stage failed by this very report
        return found
    fate: pd.DataFrame = pq.read_table(file, columns=["sha256", "source", "group", "split"]).to_pandas()
    table = splits.usable(folder / "faces")
    pairs = splits.likenesses(folder / "faces", table, params.near_duplicate_bits)
    made_by = params.model_copy(update={"by": found["by"]})
    return audit.audit(table.drop(columns=["source", "split"]).merge(fate, on="sha256"), pairs, made_by)


def of_tree(root: Path, labels: dict[str, str], splits_of: dict[str, str], params: Params) -> dict[str, Any]:
    """Return the audit of a directory tree whose folders are labelled; what is in no split counts as training."""
    if not root.is_dir():
        raise UserError(f"there is no folder {root}")
    module = datasets.get("folder")
    with tempfile.TemporaryDirectory() as place:
        index, faces = Path(place, "index.parquet"), Path(place, "faces")
        examples = module.examples(root, labels=labels, splits=splits_of)
        copies = indexing.write(examples, root, index, module.CARD, None)
        maker = making.FaceMaker(root, "whole", params.media, params.faces, images_kept=False)
        making.make_faces(index, root, faces, maker, params.scan.worker_count)
        table = splits.usable(faces)
        pairs = splits.likenesses(faces, table, params.split.near_duplicate_bits)
    group = duplicates.groups(table, pairs, splits.TOKENS["official"])
    found = audit.audit(table.assign(group=group, split=table["split"].fillna(TRAIN)), pairs, params.split)
    apart = [f"{copy.path} = {copy.of}" for copy in copies if copy.apart]
    found["leaking"]["exact_copies"], found["leaks"]["exact_copies"] = len(apart), apart[: audit.NAMED]
    return found
