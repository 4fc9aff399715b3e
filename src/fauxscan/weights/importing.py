"""Make model folders of weights from elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fauxscan import detectors, disk, models, openvino_export
from fauxscan.models import ModelCard, Origin, TrainedOn
from fauxscan.params import FaceParams
from fauxscan.records import REAL, UserError, View
from fauxscan.weights import assign, loading

ELSEWHERE = "elsewhere"


def import_weights(
    file: Path, out: Path, detector: str, options: Mapping[str, Any], fake_is: int, faces: FaceParams, licence: str = ""
) -> ModelCard:
    """Write the model folder `out` with the weights in `file`, and return its card.

    `fake_is` is the label that the source gives to fakes. If it is 0, the output is P(real) and is turned into P(fake).
    Raise UserError if `out` exists or the file does not fit.
    """
    models.refuse_existing(out)
    origin = Origin(file=file.name, sha256=_sha256(file), fake_is=fake_is)
    network = detectors.build(detector, options)
    loading.load_into(network, file)
    if fake_is == REAL:
        assign.negate_output(network)
    known = detectors.get(detector).CARD
    card = ModelCard(
        name=out.name,
        detector=detector,
        options=dict(options),
        input_size=network.input_shape[1],
        looks_at=known.looks_at,
        faces=faces if known.looks_at is View.FACE else None,
        recipe=None,
        trained_on=TrainedOn(
            dataset=ELSEWHERE,
            faces="detect" if known.looks_at is View.FACE else "whole",
            split_digest="",
            proof_of_machinery=False,
        ),
        figures={},
        licence=licence or "not stated: ask whoever published the weights",
        model_digest=models.digest(network),
        origin=origin,
        openvino=openvino_export.add(out, network),
    )
    models.save(out, network, card)
    return card


def describe_import(card: ModelCard, out: Path) -> str:
    """Return the description of an imported model that a person is shown."""
    crops = f"face crops as in params.yaml, margin {card.faces.margin}" if card.faces else "whole images"
    return (
        f"{out}: {card.detector} with the weights of {card.origin.file if card.origin else ELSEWHERE}, "
        f"{card.input_size} px, {crops}\n"
        "It is not calibrated: it gives p_fake, and every verdict is `uncertain`.\n"
        "Next: fauxscan calibrate --help, to calibrate it on files of your own; or "
        f"fauxscan check FILE --models {out}"
    )


def _sha256(file: Path) -> str:
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    return disk.digest(file)
