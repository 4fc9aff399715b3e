"""Combiners join the calibrated logits of several models into one; they are fitted on the validation split."""

import logging
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neural_network import MLPClassifier

from fauxscan import disk, models
from fauxscan.judging import calibration, manifest
from fauxscan.judging.ensemble import CARD_FILE, MEMBERS_FOLDER, Dense, EnsembleCard, advice, calibrate, forward
from fauxscan.models import ModelCard
from fauxscan.params import CalibrateParams, CombinerParams
from fauxscan.records import UserError

log = logging.getLogger(__name__)
FOLDS = 5
UNITS = 32  # of `dense32` in the write-up (Spagnola 2020)
EPOCHS = 500
Floats = NDArray[np.float64]


def combine(
    name: str, combiner: CombinerParams, folder: Path, members: Path, out: Path, params: CalibrateParams, seed: int
) -> None:
    """Fit an ensemble on the validation logits of its members below `folder`; write it, with the members, to `out`.

    `members` is the manifest that the stage `members` wrote. Raise UserError if it is out of date, or if the members
    were not trained on the same data in the same way.
    """
    manifest.check_manifest(members, combiner.members, folder)
    cards = {member: models.read_card(folder / member) for member in combiner.members}
    dataset = _one_dataset(cards)
    table = _joined(cards, folder)
    inputs, labels = table[list(cards)].to_numpy(), table["label"].to_numpy()
    layers = fit(inputs, labels, combiner.method, seed)
    unseen = cross_fitted(inputs, labels, table["source"].to_numpy(), combiner.method, seed)
    change = forward(layers, table[[f"{name} shifted" for name in cards]].to_numpy()) - forward(layers, inputs)
    media = table[["label", "source"]].assign(logit=unseen, shifted=unseen + change)
    card = EnsembleCard(
        name=name,
        method=combiner.method,
        dataset=dataset,
        layers=layers,
        digests={member: card.model_digest for member, card in cards.items()},
        calibration=calibration.fit_media(media, params),
        proof_of_machinery=any(card.trained_on.proof_of_machinery for card in cards.values()),
    )
    for member in cards:
        shutil.copytree(folder / member, out / MEMBERS_FOLDER / member)
    disk.write_text(out / CARD_FILE, card.model_dump_json(indent=2) + "\n")
    warning = advice(name, card.calibration)
    if warning and not card.proof_of_machinery:
        log.warning(warning)


def _one_dataset(cards: dict[str, ModelCard]) -> str:
    seen = {(card.trained_on.dataset, card.trained_on.split_digest) for card in cards.values()}
    if len(seen) > 1:
        names = ", ".join(f"{member} on {card.trained_on.dataset}" for member, card in cards.items())
        raise UserError(f"members of an ensemble must share one dataset and split, but: {names}")
    if len({card.trained_on.self_blended for card in cards.values()}) > 1:
        made = ", ".join(member for member, card in cards.items() if card.trained_on.self_blended)
        raise UserError(
            f"{made} of {', '.join(cards)} learned from self-blended images, the others from the dataset's own fakes:"
            " members of an ensemble must have judged the same fakes, so train all of them in the same way"
        )
    return seen.pop()[0]


def _joined(cards: dict[str, ModelCard], folder: Path) -> pd.DataFrame:
    """Return one row per media file that every member could judge: label, source, and the members' calibrated logits.

    The columns `NAME shifted` have those of the same files, moved by one pixel; null if a member's were not measured.
    """
    table: pd.DataFrame | None = None
    for member, card in cards.items():
        media = pd.read_parquet(folder / member / manifest.LOGITS).set_index(["sha256", "label"])
        raw = pd.DataFrame({member: media["logit"], f"{member} shifted": media.get("shifted", np.nan)})
        columns = raw.map(lambda logit, card=card: calibrate(logit, card.calibration))
        table = media[["source"]].join(columns) if table is None else table.join(columns, how="inner")
    table = None if table is None else table.reset_index("label")
    if table is None or table["label"].nunique() < 2:
        raise UserError(f"{', '.join(cards)} judged no reals and fakes in common: an ensemble cannot be fitted")
    return table


def fit(calibrated: Floats, labels: NDArray[np.integer], method: str, seed: int) -> tuple[Dense, ...]:
    """Return the layers that join calibrated logits (n, members): `mean`, `logistic` or `dense32`."""
    if method == "mean":
        members = calibrated.shape[1]
        return (Dense(kernel=((1 / members,),) * members, bias=(0.0,)),)
    if method == "logistic":
        fitted = LogisticRegression().fit(calibrated, labels)
        return (_dense(fitted.coef_.T, fitted.intercept_),)
    return _dense32(calibrated, labels, seed)


def _dense32(calibrated: Floats, labels: NDArray[np.integer], seed: int) -> tuple[Dense, ...]:
    """Return 32 ReLU units and one logit, trained with Adam in batches of 64, as the write-up trains its ensemble.

    The write-up stops at 25 epochs. Ours may take more: a validation split is smaller than the training set it used.
    """
    network = MLPClassifier((UNITS,), batch_size=min(64, len(labels)), max_iter=EPOCHS, alpha=0.1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last epoch is as good as any
        network.fit(calibrated, labels)
    return tuple(_dense(kernel, bias) for kernel, bias in zip(network.coefs_, network.intercepts_, strict=True))


def _dense(kernel: Floats, bias: Floats) -> Dense:
    return Dense(kernel=tuple(tuple(map(float, row)) for row in kernel), bias=tuple(map(float, bias)))


def cross_fitted(
    calibrated: Floats, labels: NDArray[np.integer], sources: NDArray[np.object_], method: str, seed: int
) -> Floats:
    """Return for each row (n,) the logit of a combiner that was fitted without the source of that row.

    An ensemble that is calibrated on the rows it was fitted on would be overconfident. If a class has too few sources
    to leave any out, the combiner is fitted on all rows.
    """
    folds = min(FOLDS, *(len(set(sources[labels == label])) for label in set(labels.tolist())))
    if folds < 2:
        return forward(fit(calibrated, labels, method, seed), calibrated)
    logits = np.zeros(len(labels))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for kept, left_out in splitter.split(calibrated, labels, sources):
        logits[left_out] = forward(fit(calibrated[kept], labels[kept], method, seed), calibrated[left_out])
    return logits
