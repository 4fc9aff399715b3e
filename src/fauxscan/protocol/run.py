"""Train and test all heads of a protocol on all its folds. A killed run continues with the fold it was stopped in."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fauxscan import disk
from fauxscan.params import Params, ProtocolParams
from fauxscan.progress import Progress
from fauxscan.protocol import figures, heads, stored, summary
from fauxscan.protocol.folds import Fold, folds
from fauxscan.protocol.heads import Head
from fauxscan.protocol.stored import Stored

log = logging.getLogger(__name__)
TABLE, SCORES, METRICS = "table.parquet", "scores.parquet", "metrics.json"


@dataclass(frozen=True)
class Job:
    """One training: a head, a fold and a seed."""

    head: Head
    fold: Fold
    seed: int

    def key(self, features: Stored) -> str:
        """Return the digest of everything that its scores follow from."""
        model, recipe = self.head.model, self.head.recipe.model_dump(mode="json")
        parts = [features.card.digest, features.card.tiers, self.fold.left_out, self.seed]
        parts += [model.detector, model.options, model.shares, recipe]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def run(name: str, params: Params, features: Path, work: Path, out: Path) -> None:
    """Write the table, the scores and the metrics of the protocol `name` to `out`, from the features in a folder.

    `work` holds the scores of finished folds until all are finished. Raise UserError if the protocol cannot be
    followed: too few generators, or splits without reals or fakes.
    """
    protocol, known = params.protocol(name), stored.read(features)
    jobs = list(_jobs(protocol, params, known))
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    progress, tables, scores = Progress("protocol", len(jobs), "trainings"), [], []
    for job in jobs:
        judged = _judged(job, known, work).assign(head=job.head.name, seed=job.seed, left_out=job.fold.left_out)
        found = figures.of_fold(judged, job.fold, protocol.false_positive_rates, params.evaluate, params.seed)
        tables.append(found.assign(head=job.head.name, seed=job.seed))
        scores.append(judged)
        progress.advance(1)
    progress.close()
    _write(pd.concat(tables, ignore_index=True)[figures.ORDER], pd.concat(scores, ignore_index=True), out)
    shutil.rmtree(work)  # so that the next run, with code edited meanwhile, starts from the beginning
    work.mkdir()


def _jobs(protocol: ProtocolParams, params: Params, features: Stored) -> Iterator[Job]:
    model = params.model(protocol.model)
    for name, changes in protocol.heads.items():
        head = Head.of(name, model, changes)
        for seed in range(params.seed, params.seed + protocol.seeds):
            for fold in folds(features.trained, features.held_out):
                yield Job(head, fold, seed)


def _judged(job: Job, features: Stored, work: Path) -> pd.DataFrame:
    """Return the scores of one training, which an earlier run may have left."""
    file = work / f"{job.key(features)[:32]}.parquet"
    if file.is_file():
        return pd.read_parquet(file)
    judged = heads.judge(job.head, job.fold, features, job.seed)
    with disk.atomic_write(file) as stream:
        judged.to_parquet(stream, index=False)
    log.info("head %s: %s", job.head.name, f"without {job.fold.left_out}" if job.fold.left_out else "in distribution")
    return judged


def _write(table: pd.DataFrame, scores: pd.DataFrame, out: Path) -> None:
    table.to_parquet(out / TABLE, index=False)
    scores[["head", "seed", "left_out", *heads.MEDIUM, "tier", "logit", "temperature", "unseen"]].to_parquet(
        out / SCORES, index=False
    )
    disk.write_text(out / METRICS, json.dumps(summary.summary(table), indent=2) + "\n")
