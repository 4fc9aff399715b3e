"""Fit the thresholds for videos, and say what they are."""

import logging

import pandas as pd

from fauxscan.judging import calibration
from fauxscan.judging.ensemble import MIN_SOURCES
from fauxscan.judging.videos import table
from fauxscan.models import Calibration, Evidence, VideoThresholds
from fauxscan.params import CalibrateParams
from fauxscan.records import FAKE, REAL

log = logging.getLogger(__name__)
CHANGED = ("shifted", "reencoded")  # columns of the logits of changed images, see `calibration.fit_media`
TOO_FEW = "%s: no thresholds %s fitted on videos, because the sources of videos are too few: %s, but %d are required"


def fit(name: str, media: pd.DataFrame, fitted: Calibration, params: CalibrateParams, max_frames: int) -> Calibration:
    """Return the calibration of the model `name` with thresholds for videos.

    They are fitted on the videos and pseudo-videos of the table that it was fitted on, see `table.collect`.
    """
    videos = table.collect(media, params.pseudo_videos, max_frames, ("logit", *CHANGED))
    return fit_videos(name, videos, fitted, params)


def fit_videos(name: str, videos: pd.DataFrame, fitted: Calibration, params: CalibrateParams) -> Calibration:
    """Return the calibration with thresholds that are fitted on a table of videos, at its temperature.

    The rules are those for images. A class with fewer than 20 sources is too few: there are no thresholds then, and the
    log says so.
    """
    if _too_few(name, videos, (REAL, FAKE), "were"):
        return fitted.model_copy(update={"videos": None})
    found = calibration.fit_thresholds(videos, params, fitted.temperature)
    return _with(fitted, videos, found, calibration.evidence(videos, fitted.temperature))


def fit_reals(
    name: str, media: pd.DataFrame, fitted: Calibration, params: CalibrateParams, max_frames: int
) -> Calibration:
    """Return the calibration after `calibration.fit_reals`, with its threshold of `likely_synthetic` for videos.

    It is fitted on the videos in the table of reals, and everything that takes fakes stays as it is. If these videos
    have fewer than 20 sources, all thresholds for videos stay as they are, and the log says so.
    """
    videos = table.collect(media, params.pseudo_videos, max_frames, ("logit", *CHANGED))
    if _too_few(name, videos, (REAL,), "are newly"):
        return fitted
    before = fitted.videos
    known = {"low": before.low, "evidence": before.evidence} if before else {"low": 0.0, "evidence": None}
    found = calibration.fit_reals(videos, fitted.model_copy(update=known), params)
    assert found.evidence is not None  # `calibration.fit_reals` counts the reals
    return _with(fitted, videos, found, found.evidence)


def _too_few(name: str, videos: pd.DataFrame, labels: tuple[int, ...], when: str) -> bool:
    """Return whether a class has too few sources of videos, and say so if it has."""
    counts = {label: videos.loc[videos["label"] == label, "source"].nunique() for label in labels}
    if min(counts.values()) >= MIN_SOURCES:
        return False
    counted = " and ".join(f"{count} of {'fakes' if label == FAKE else 'reals'}" for label, count in counts.items())
    log.info(TOO_FEW, name, when, counted, MIN_SOURCES)
    return True


def _with(fitted: Calibration, videos: pd.DataFrame, found: Calibration, evidence: Evidence) -> Calibration:
    pseudo = int(videos[table.PSEUDO].sum())
    thresholds = VideoThresholds(
        low=found.low, high=found.high, videos=len(videos) - pseudo, pseudo_videos=pseudo, evidence=evidence
    )
    return fitted.model_copy(update={"videos": thresholds})


def describe(fitted: Calibration) -> str:
    """Return a sentence about the thresholds for videos, also if there are none."""
    of = fitted.videos
    if not fitted.separate_videos:
        return "Videos: judged by the thresholds for images, as no threshold was fitted on videos"
    if of is None:
        return (
            f"Videos: always `uncertain`, as no threshold was fitted on videos; it takes {MIN_SOURCES} sources of them"
        )
    counted = [f"{of.videos} videos"] if of.videos else []
    counted += [f"{of.pseudo_videos} pseudo-videos (single frames)"] if of.pseudo_videos else []
    known = of.evidence
    auc = "" if known.auc is None else f"; AUC there {known.auc:.3f} ({known.auc_low:.3f} to {known.auc_high:.3f})"
    return (
        f"Videos: `likely_synthetic` from p_fake {of.high:.4f} on, `no_indication` up to {of.low:.4f}. Fitted on"
        f" {' and '.join(counted)} of {known.real_sources} real and {known.fake_sources} fake sources{auc}"
    )
