"""Combiners: how the calibrated logits of several models become one, fitted on the validation split."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neural_network import MLPClassifier

from fauxscan.judging.panel import Dense, forward

FOLDS = 5
UNITS = 32  # of the write-up's `dense32` (Spagnola 2020)
EPOCHS = 500
Floats = NDArray[np.float64]


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
    """Return 32 ReLU units and one logit, by Adam in batches of 64, as the write-up trains its ensemble.

    It stops at 25 epochs; ours may take more, since a validation split is smaller than the training set it used.
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
    """Return for each row (n,) the logit of a combiner that was fitted without that row's source.

    Calibrated on the very rows that it was fitted on, an ensemble would think itself better than it is. Where a class
    has too few sources to leave any out, the rows' own fit is taken.
    """
    folds = min(FOLDS, *(len(set(sources[labels == label])) for label in set(labels.tolist())))
    if folds < 2:
        return forward(fit(calibrated, labels, method, seed), calibrated)
    logits = np.zeros(len(labels))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for kept, left_out in splitter.split(calibrated, labels, sources):
        logits[left_out] = forward(fit(calibrated[kept], labels[kept], method, seed), calibrated[left_out])
    return logits
