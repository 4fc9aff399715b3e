"""From a trained network to a model that scans can use: calibrated, with the logits that it was calibrated on."""

import logging
import shutil
from pathlib import Path

import pandas as pd

from fauxscan import models, openvino_export
from fauxscan.judging import calibration, ensemble, groups, scoring
from fauxscan.judging.ensemble import Member
from fauxscan.judging.manifest import LOGITS
from fauxscan.judging.videos import thresholds
from fauxscan.params import CalibrateParams
from fauxscan.preparing.mixture.read import Mixture, open_mixture
from fauxscan.records import VALIDATION, UserError

log = logging.getLogger(__name__)


def calibrate(trained: Path, mixture: Path, shards: Path, out: Path, params: CalibrateParams, max_frames: int) -> None:
    """Write the network of `trained` to `out`, for Keras and OpenVINO, with its calibration and the logits behind it.

    It is calibrated on the validation splits of the datasets in the mixture that `params` does not leave out. A model
    trained on self-blended images is calibrated on their reals and the self-blends made of them. Pseudo-videos have at
    most `max_frames` frames. If the calibration shows that the model knows too little for verdicts, a warning says so.
    Raise UserError if every dataset is left out.
    """
    model, mixed = models.load(trained), open_mixture(mixture, shards)
    names = [name for name in mixed.shards if name not in params.left_out]
    if not names:
        raise UserError(f"`calibrate.left_out` names all datasets of {model.card.name}: leave one to calibrate it on")
    media = _validation_logits(model, mixed, names)
    media = scoring.with_changed(media, "shifted", _validation_logits(scoring.Shifted(model), mixed, names))
    if params.guard_band:
        media = scoring.with_changed(media, "reencoded", _validation_logits(scoring.Reencoded(model), mixed, names))
    fitted = calibration.fit_media(media, params)
    fitted = thresholds.fit(model.card.name, media, fitted, params, max_frames)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(trained / models.NETWORK, out / models.NETWORK)
    files = openvino_export.add(out, model.network)
    models.write_card(out, model.card.model_copy(update={"calibration": fitted, "openvino": files}))
    media.to_parquet(out / LOGITS, index=False)
    for line in (*groups.lines(fitted), *thresholds.lines(fitted)):
        log.info("%s: %s", model.card.name, line)
    warning = ensemble.advice(model.card.name, fitted)
    if warning and not model.card.trained_on.proof_of_machinery:  # which gives no verdicts in any case
        log.warning(warning)


def _validation_logits(model: Member, mixture: Mixture, names: list[str]) -> pd.DataFrame:
    """Return one row for each media file in the validation splits of these datasets, with its dataset and its source.

    No two datasets share sources.
    """
    view = mixture.view_for(model.card.looks_at)
    face_logits = scoring.self_blended_logits if model.card.trained_on.self_blended else scoring.face_logits
    tables = []
    for name in names:
        media = scoring.media_logits(face_logits(model, mixture.shards[name], VALIDATION, view))
        sources = [mixture.source_name(name, source) for source in media["source"]]
        tables.append(media.assign(source=sources, dataset=name))
    return pd.concat(tables, ignore_index=True).drop_duplicates(["sha256", "label"], ignore_index=True)
