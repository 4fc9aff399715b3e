"""From the logits of faces to the logit of a media file."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

TRIMMED = 0.2  # share of a track's frames left out at each end


def robust_mean(logits: ArrayLike) -> float:
    """Return the trimmed mean: a blurred frame or two do not decide over a track.

    As `scipy.stats.trim_mean`, which takes a millisecond to look at its arguments: a third of a scan.
    """
    ordered = np.sort(np.asarray(logits, np.float64))
    cut = int(TRIMMED * len(ordered))
    return float(ordered[cut : len(ordered) - cut].mean())


def media_logit(logits: Sequence[float], tracks: Sequence[int]) -> float:
    """Return the largest of the tracks' robust means; in an image each face is its own track."""
    if len(logits) == 1:
        return float(logits[0])
    scores, of_track = np.asarray(logits, np.float64), np.asarray(tracks)
    return max(robust_mean(scores[of_track == track]) for track in np.unique(of_track))
