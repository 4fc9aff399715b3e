"""From a trained network to a model that scans can use: calibrated, with the logits that it was calibrated on."""

import shutil
from pathlib import Path

import pandas as pd

from fauxscan import models
from fauxscan.judging import calibration, scoring
from fauxscan.judging.manifest import LOGITS
from fauxscan.models import Model
from fauxscan.params import CalibrateParams
from fauxscan.preparing.mixture.read import Mixture, open_mixture
from fauxscan.records import VALIDATION


def calibrate(trained: Path, mixture: Path, shards: Path, out: Path, params: CalibrateParams) -> None:
    """Write the network of `trained` to `out`, with its calibration on the validation splits and the logits behind it.

    The splits are those of all datasets in the mixture. A model trained on self-blended images is calibrated on their
    reals and the self-blends made of them.
    """
    model = models.load(trained)
    media = _validation_logits(model, open_mixture(mixture, shards))
    fitted = calibration.fit(media["label"], media["logit"], params)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(trained / models.NETWORK, out / models.NETWORK)
    models.write_card(out, model.card.model_copy(update={"calibration": fitted}))
    media.to_parquet(out / LOGITS, index=False)


def _validation_logits(model: Model, mixture: Mixture) -> pd.DataFrame:
    """Return one row for each media file in the validation splits, with sources that no two datasets share."""
    view = mixture.view_for(model.card.looks_at)
    face_logits = scoring.self_blended_logits if model.card.trained_on.self_blended else scoring.face_logits
    tables = []
    for name, shards in mixture.shards.items():
        media = scoring.media_logits(face_logits(model, shards, VALIDATION, view))
        tables.append(media.assign(source=[mixture.source_name(name, source) for source in media["source"]]))
    return pd.concat(tables, ignore_index=True).drop_duplicates(["sha256", "label"], ignore_index=True)
