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
from fauxscan.judging.videos import table as videos_table
from fauxscan.judging.videos import thresholds
from fauxscan.models import ModelCard
from fauxscan.params import CalibrateParams, CombinerParams
from fauxscan.records import FAKE, UserError

log = logging.getLogger(__name__)
FOLDS = 5
UNITS = 32  # of `dense32` in the write-up (Spagnola 2020)
EPOCHS = 500
CHANGED = ("shifted", "reencoded")  # columns of logits that show how steady a score is
DESCRIBING = ("label", "source", "dataset", "generator", "kind")  # columns; older tables lack the last three
Floats = NDArray[np.float64]


def combine(
    name: str, combiner: CombinerParams, folder: Path, members: Path, out: Path, params: CalibrateParams, seed: int,
    max_frames: int,
) -> None:  # fmt: skip
    """Fit an ensemble on the validation logits of its members below `folder`; write it, with the members, to `out`.

    `members` is the manifest that the stage `members` wrote. Pseudo-videos have at most `max_frames` frames. Raise
    UserError if the manifest is out of date, or if the members were not trained on the same data in the same way.
    """
    manifest.check_manifest(members, combiner.members, folder)
    cards = {member: models.read_card(folder / member) for member in combiner.members}
    dataset = _one_dataset(cards)
    unclipped = _joined(cards, folder)
    columns = [*cards, *(f"{member} {changed}" for member in cards for changed in CHANGED)]
    videos = videos_table.collect(unclipped, params.pseudo_videos, max_frames, columns)
    table, videos = (_clipped(of, columns, combiner.clip) for of in (unclipped, videos))
    inputs, labels = table[list(cards)].to_numpy(), table["label"].to_numpy()
    layers = fit(inputs, labels, combiner.method, seed)
    media, videos = _judge_unseen((table, videos), list(cards), layers, combiner.method, seed)
    card = EnsembleCard(
        name=name,
        method=combiner.method,
        dataset=dataset,
        layers=layers,
        digests={member: card.model_digest for member, card in cards.items()},
        calibration=thresholds.fit_videos(name, videos, calibration.fit_media(media, params), params),
        proof_of_machinery=any(card.trained_on.proof_of_machinery for card in cards.values()),
        clip=combiner.clip,
        disagreement=allowed_disagreement(inputs, (media["logit"] > 0) == (labels == FAKE), combiner.disagreement),
    )
    for member in cards:
        shutil.copytree(folder / member, out / MEMBERS_FOLDER / member)
    write_ensemble_card(out, card)
    for line in (*groups.lines(card.calibration), thresholds.describe(card.calibration)):
        log.info("%s: %s", name, line)
    warning = advice(name, card.calibration)
    if warning and not card.proof_of_machinery:
        log.warning(warning)


def _judge_unseen(
    tables: tuple[pd.DataFrame, pd.DataFrame], members: list[str], layers: tuple[Dense, ...], method: str, seed: int
) -> list[pd.DataFrame]:
    """Return the tables that the ensemble is calibrated on: of media files, and of videos.

    Their logits are of combiners that did not see the source; these are fitted on the media files.
    """
    inputs, labels, sources = ([of[what].to_numpy() for of in tables] for what in (members, "label", "source"))
    unseen = cross_fitted(
        inputs[0], labels[0], sources[0], method, seed, (np.concatenate(inputs), np.concatenate(sources))
    )
    judged = []
    for table, own, logits in zip(tables, inputs, np.split(unseen, [len(tables[0])]), strict=True):
        known = [name for name in (*DESCRIBING, videos_table.PSEUDO) if name in table]
        one = table[known].assign(logit=logits)
        for changed in CHANGED:
            after = forward(layers, table[[f"{name} {changed}" for name in members]].to_numpy())
            one[changed] = logits + (after - forward(layers, own))
        judged.append(one)
    return judged


def _clipped(table: pd.DataFrame, columns: list[str], clip: float | None) -> pd.DataFrame:
    """Return a table with the members' logits clipped as the combiner takes them."""
    return table.assign(**{name: table[name].map(lambda logit: clipped(logit, clip)) for name in columns})


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
    """Return one row per media file that every member could judge: what is known of it, and their calibrated logits.

    The columns `NAME shifted` and `NAME reencoded` have those of the same files after these changes; null if they were
    not measured for a member. They are not clipped.
    """
    table: pd.DataFrame | None = None
    for member, card in cards.items():
        media = pd.read_parquet(folder / member / manifest.LOGITS).set_index(["sha256", "label"])
        after = {f"{member} {changed}": media.get(changed, np.nan) for changed in CHANGED}
        raw = pd.DataFrame({member: media["logit"], **after})
        columns = raw.map(lambda logit, card=card: calibrate(logit, card.calibration))
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
    calibrated: Floats, labels: NDArray[np.integer], sources: NDArray[np.object_], method: str, seed: int,
    judged: tuple[Floats, NDArray[np.object_]] | None = None,
) -> Floats:  # fmt: skip
    """Return for each judged row (n,) the logit of a combiner that was fitted without the source of that row.

    `judged` has the members' logits (n, members) and sources (n,) of these rows, whose sources are among `sources`. By
    default they are the rows of the fit. An ensemble that is calibrated on the rows it was fitted on would be
    overconfident. If a class has too few sources to leave any out, the combiner is fitted on all rows.
    """
    rows, sources_of_rows = judged or (calibrated, sources)
    folds = min(FOLDS, *(len(set(sources[labels == label])) for label in set(labels.tolist())))
    if folds < 2:
        return forward(fit(calibrated, labels, method, seed), rows)
    logits = np.zeros(len(rows))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for kept, left_out in splitter.split(calibrated, labels, sources):
        of_fold = np.isin(sources_of_rows, np.unique(sources[left_out]))
        logits[of_fold] = forward(fit(calibrated[kept], labels[kept], method, seed), rows[of_fold])
    return logits
