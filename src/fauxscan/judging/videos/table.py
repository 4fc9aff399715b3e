"""The videos among the media files of a calibration, and pseudo-videos of single frames."""

from collections.abc import Collection, Hashable, Iterator, Sequence

import numpy as np
import pandas as pd

from fauxscan.judging.aggregation import robust_mean
from fauxscan.records import Kind

FEWEST_FRAMES = 2  # of a pseudo-video: one frame is an image
PSEUDO = "pseudo"  # the column that tells pseudo-videos from videos
GROUP = ["dataset", "source", "label", "generator"]  # the same for all frames of a pseudo-video


def collect(media: pd.DataFrame, of_frames: Collection[str], max_frames: int, logits: Sequence[str]) -> pd.DataFrame:
    """Return one row per video of a table with one row per media file, with the column `pseudo`.

    The column `kind` says which files are videos; tables of older versions have none. In the datasets `of_frames`,
    images are frames of videos: those of one source, label and generator are a pseudo-video with one track. It has at
    most `max_frames` of its frames, evenly spread over the table, and at least 2. Its columns `logits` have the robust
    means of theirs, as a scan calculates them.
    """
    if "kind" not in media:
        return media.iloc[:0].assign(**{PSEUDO: False})
    videos = media[media["kind"] == Kind.VIDEO].assign(**{PSEUDO: False})
    if not of_frames or "dataset" not in media:
        return videos
    frames = media[(media["kind"] == Kind.IMAGE) & media["dataset"].isin(of_frames)]
    made = pd.DataFrame([*_pseudo_videos(frames, max_frames, logits)], columns=videos.columns)
    if made.empty:
        return videos
    return made if videos.empty else pd.concat([videos, made], ignore_index=True)


def _pseudo_videos(frames: pd.DataFrame, max_frames: int, logits: Sequence[str]) -> Iterator[dict[Hashable, object]]:
    keys = [name for name in GROUP if name in frames]
    for _, of_video in frames.groupby(keys, sort=True, dropna=False):
        if len(of_video) >= FEWEST_FRAMES:
            count = min(max_frames, len(of_video))
            chosen = of_video.iloc[np.arange(count) * len(of_video) // count]
            means = {name: _mean(chosen[name]) for name in logits if name in chosen}
            yield chosen.iloc[0].to_dict() | means | {"kind": str(Kind.VIDEO), PSEUDO: True}


def _mean(logits: pd.Series) -> float:
    """Return the robust mean; not a number if one of the logits was not measured."""
    return float("nan") if logits.isna().any() else robust_mean(logits)
