"""Combiners join the calibrated logits of several models into one; they are fitted on the validation split."""

import logging
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neural_network import MLPClassifier

from fauxscan import models
from fauxscan.judging import calibration, groups, manifest
from fauxscan.judging.ensemble import (
    MEMBERS_FOLDER,
    Dense,
    EnsembleCard,
    advice,
    calibrate,
    clipped,
    forward,
    opposition,
    write_ensemble_card,
)
from fauxscan.models import ModelCard
from fauxscan.params import CalibrateParams, CombinerParams
from fauxscan.records import FAKE, UserError

log = logging.getLogger(__name__)
FOLDS = 5
UNITS = 32  # of `dense32` in the write-up (Spagnola 2020)
EPOCHS = 500
CHANGED = ("shifted", "reencoded")  # columns of logits that show how steady a score is
DESCRIBING = ("label", "source", "dataset", "generator")  # columns; older tables lack the last two
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
    table = _joined(cards, folder, combiner.clip)
    inputs, labels = table[list(cards)].to_numpy(), table["label"].to_numpy()
    layers = fit(inputs, labels, combiner.method, seed)
    media = _media(table, list(cards), layers, combiner.method, seed)
    card = EnsembleCard(
        name=name,
        method=combiner.method,
        dataset=dataset,
        layers=layers,
        digests={member: card.model_digest for member, card in cards.items()},
        calibration=calibration.fit_media(media, params),
        proof_of_machinery=any(card.trained_on.proof_of_machinery for card in cards.values()),
        clip=combiner.clip,
        disagreement=allowed_disagreement(inputs, (media["logit"] > 0) == (labels == FAKE), combiner.disagreement),
    )
    for member in cards:
        shutil.copytree(folder / member, out / MEMBERS_FOLDER / member)
    write_ensemble_card(out, card)
    for line in groups.lines(card.calibration):
        log.info("%s: %s", name, line)
    warning = advice(name, card.calibration)
    if warning and not card.proof_of_machinery:
        log.warning(warning)


def _media(table: pd.DataFrame, members: list[str], layers: tuple[Dense, ...], method: str, seed: int) -> pd.DataFrame:
    """Return the table that the ensemble is calibrated on, with logits of sources that its combiner did not see."""
    inputs, labels = table[members].to_numpy(), table["label"].to_numpy()
    unseen = cross_fitted(inputs, labels, table["source"].to_numpy(), method, seed)
    media = table[[name for name in DESCRIBING if name in table]].assign(logit=unseen)
    for changed in CHANGED:
        after = forward(layers, table[[f"{name} {changed}" for name in members]].to_numpy())
        media[changed] = unseen + (after - forward(layers, inputs))
    return media


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


def _joined(cards: dict[str, ModelCard], folder: Path, clip: float | None) -> pd.DataFrame:
    """Return one row per media file that every member could judge: what is known of it, and their calibrated logits.

    The columns `NAME shifted` and `NAME reencoded` have those of the same files after these changes; null if they were
    not measured for a member. All are clipped as the combiner takes them.
    """
    table: pd.DataFrame | None = None
    for member, card in cards.items():
        media = pd.read_parquet(folder / member / manifest.LOGITS).set_index(["sha256", "label"])
        after = {f"{member} {changed}": media.get(changed, np.nan) for changed in CHANGED}
        raw = pd.DataFrame({member: media["logit"], **after})
        columns = raw.map(lambda logit, card=card: clipped(calibrate(logit, card.calibration), clip))
        described = media[[name for name in DESCRIBING if name in media]]
        table = described.join(columns) if table is None else table.join(columns, how="inner")
    table = None if table is None else table.reset_index("label")
    if table is None or table["label"].nunique() < 2:
        raise UserError(f"{', '.join(cards)} judged no reals and fakes in common: an ensemble cannot be fitted")
    return table


def fit(calibrated: Floats, labels: NDArray[np.integer], method: str, seed: int) -> tuple[Dense, ...]:
    """Return the layers that join calibrated logits (n, members): `mean`, `logistic`, `positive` or `dense32`."""
    if method == "mean":
        members = calibrated.shape[1]
        return (Dense(kernel=((1 / members,),) * members, bias=(0.0,)),)
    if method == "logistic":
        fitted = LogisticRegression().fit(calibrated, labels)
        return (_dense(fitted.coef_.T, fitted.intercept_),)
    return (_positive(calibrated, labels),) if method == "positive" else _dense32(calibrated, labels, seed)


def _positive(calibrated: Floats, labels: NDArray[np.integer]) -> Dense:
    """Return logistic regression without negative weights: no member can make a file more real by calling it fake.

    Its loss is that of `logistic`: the negative log-likelihood, and half the sum of the squared weights.
    """
    inputs, sign = np.column_stack([calibrated, np.ones(len(labels))]), np.where(labels == FAKE, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin, kernel = sign * (inputs @ weights), np.append(weights[:-1], 0.0)
        slope = -inputs.T @ (sign * expit(-margin)) + kernel
        return float(np.logaddexp(0, -margin).sum() + kernel @ kernel / 2), slope

    members = calibrated.shape[1]
    start, bounds = np.append(np.full(members, 1 / members), 0.0), [(0.0, None)] * members + [(None, None)]
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return _dense(fitted.x[:-1, None], fitted.x[-1:])


def allowed_disagreement(calibrated: Floats, right: pd.Series, share: float | None) -> float | None:
    """Return the disagreement that at most this share of the files judged correctly exceed; None for no share.

    `calibrated` (n, members) are logits as the combiner takes them, and `right` (n,) is whether it judged correctly.
    """
    if share is None or not right.any():
        return None
    return float(np.quantile(opposition(calibrated[right.to_numpy(bool)]), 1 - share, method="inverted_cdf"))


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
