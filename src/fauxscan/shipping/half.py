"""OpenVINO's weights in 16 bits where that changes no score, which halves their files."""

import logging
import tempfile
from pathlib import Path

import numpy as np

from fauxscan import disk, models, openvino_export
from fauxscan.media.images.codec import Image
from fauxscan.scanning.inference.backends import Exported

log = logging.getLogger(__name__)
BATCH = 16  # images in a forward pass
SUFFIXES = (".bin", ".xml")


def halve(folder: Path, images: list[Image], tolerance: float) -> float:
    """Round the weights in a model folder to 16 bits, unless a logit of the images would change by more than this.

    Images are uint8 RGB of the model's input size. Return the largest change, and renew the digests on the card.
    """
    file, card = folder / openvino_export.NETWORK, models.read_card(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".halving-") as aside:
        halved = Path(aside) / file.name
        _save_in_16_bits(file, halved)
        before, after = (Exported(card, one, "float32").scorer(BATCH) for one in (file, halved))
        stacks = [np.stack(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
        change = max(float(np.abs(before(stack) - after(stack)).max()) for stack in stacks)
        fits = change <= tolerance  # also false for a logit that is not a number
        if fits:
            for suffix in SUFFIXES:
                disk.move_into_place(halved.with_suffix(suffix), file.with_suffix(suffix))
    kept = "16" if fits else "32"
    log.info(
        "%s: weights in %s bits; 16 change a logit by up to %.2g (%d images)", card.name, kept, change, len(images)
    )
    models.write_card(folder, card.model_copy(update={"openvino": openvino_export.digests(folder)}))
    return change


def _save_in_16_bits(file: Path, out: Path) -> None:
    import openvino

    openvino.save_model(openvino.Core().read_model(file), out, compress_to_fp16=True)
