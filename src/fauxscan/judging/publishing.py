"""From a trained network to a model that scans can use: calibrated, alone or in an ensemble."""

import shutil
from pathlib import Path

import pandas as pd

from fauxscan import models
from fauxscan.judging import calibration, combining, panel, scoring
from fauxscan.judging.panel import EnsembleCard
from fauxscan.models import ModelCard
from fauxscan.params import CalibrateParams, CombinerParams
from fauxscan.preparing import shards
from fauxscan.records import VALIDATION, UserError

LOGITS_FILE = "validation.parquet"


def calibrate(trained: Path, folder: Path, out: Path, params: CalibrateParams) -> None:
    """Publish the network of `trained` to `out` with its calibration on the validation split, and those logits.

    A model trained on self-blended images is calibrated on the reals of the split and the self-blends made of them.
    """
    model = models.load(trained)
    view = shards.view_for(model.card.looks_at, model.card.trained_on.faces)
    logits = scoring.self_blended_logits if model.card.trained_on.self_blended else scoring.face_logits
    media = scoring.media_logits(logits(model, folder, VALIDATION, view))
    fitted = calibration.fit(media["label"], media["logit"], params)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(trained / models.NETWORK, out / models.NETWORK)
    models.write_card(out, model.card.model_copy(update={"calibration": fitted}))
    media.to_parquet(out / LOGITS_FILE, index=False)


def combine(name: str, combiner: CombinerParams, folder: Path, out: Path, params: CalibrateParams, seed: int) -> None:
    """Fit an ensemble on its members' validation logits and publish it, members and all, to `out`."""
    cards = {member: models.read_card(folder / member) for member in combiner.members}
    dataset = _one_dataset(cards)
    table = _joined(cards, folder)
    inputs, labels = table[list(cards)].to_numpy(), table["label"].to_numpy()
    unseen = combining.cross_fitted(inputs, labels, table["source"].to_numpy(), combiner.method, seed)
    card = EnsembleCard(
        name=name,
        method=combiner.method,
        dataset=dataset,
        layers=combining.fit(inputs, labels, combiner.method, seed),
        digests={member: card.model_digest for member, card in cards.items()},
        calibration=calibration.fit(labels, unseen, params),
        proof_of_machinery=any(card.trained_on.proof_of_machinery for card in cards.values()),
    )
    for member in cards:
        shutil.copytree(folder / member, out / panel.MEMBERS / member)
    (out / panel.ENSEMBLE).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _one_dataset(cards: dict[str, ModelCard]) -> str:
    seen = {(card.trained_on.dataset, card.trained_on.split_digest) for card in cards.values()}
    if len(seen) > 1:
        names = ", ".join(f"{member} on {card.trained_on.dataset}" for member, card in cards.items())
        raise UserError(f"members of an ensemble must share one dataset and split, but: {names}")
    if len({card.trained_on.self_blended for card in cards.values()}) > 1:
        made = ", ".join(member for member, card in cards.items() if card.trained_on.self_blended)
        raise UserError(
            f"{made} of {', '.join(cards)} learned from self-blended images, the others from the dataset's own fakes:"
            " members of an ensemble must have judged the same fakes, so train all in one way"
        )
    return seen.pop()[0]


def _joined(cards: dict[str, ModelCard], folder: Path) -> pd.DataFrame:
    """Return one row a media file that every member could judge: label, source, and a calibrated logit a member."""
    table: pd.DataFrame | None = None
    for member, card in cards.items():
        media = pd.read_parquet(folder / member / LOGITS_FILE).set_index(["sha256", "label"])
        column = media["logit"].map(lambda raw, card=card: panel.calibrate(raw, card.calibration)).rename(member)
        table = media[["source"]].join(column) if table is None else table.join(column, how="inner")
    table = None if table is None else table.reset_index("label")
    if table is None or table["label"].nunique() < 2:
        raise UserError(f"{', '.join(cards)} judged no reals and fakes in common: an ensemble cannot be fitted")
    return table
