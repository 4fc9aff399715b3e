"""OpenVINO's weights in 16 bits where that changes no score, which halves their files.

A matrix of weights is stored as 16-bit integers with one scale for each output. 16-bit floats take the same space and
are coarser: their largest rounding error is that of the largest weight, and with them a head's logits of up to 38
changed by 0.0007 to 0.005, instead of 0.0002. Vectors take almost no space, and keep their 32 bits.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fauxscan import disk, models, openvino_export
from fauxscan.media.images.codec import Image
from fauxscan.scanning.inference.backends import Exported

log = logging.getLogger(__name__)
BATCH = 16  # images in a forward pass
SUFFIXES = (".bin", ".xml")
LARGEST = np.iinfo(np.int16).max


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

    network = openvino.Core().read_model(file)
    for place, operation in enumerate(network.get_ordered_ops()):
        is_floats = operation.get_type_name() == "Constant" and operation.get_element_type() == openvino.Type.f32
        if is_floats and len(operation.shape) > 1 and operation.shape[0] > 1:
            floats = _of_integers(operation.data, f"{operation.get_friendly_name()}_{place}")
            for reader in operation.output(0).get_target_inputs():
                reader.replace_source_output(floats.output(0))
    openvino.save_model(network, out, compress_to_fp16=False)


def _of_integers(weights: NDArray[np.float32], name: str) -> Any:
    """Return the operation that makes the weights (outputs, ...) of 16-bit integers. It runs once, in compiling."""
    import openvino
    from openvino import opset13 as operations

    largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    scale = np.where(largest > 0, largest, 1.0).astype(np.float32) / LARGEST
    whole = operations.constant(np.rint(weights / scale).astype(np.int16))
    floats = operations.convert(whole, openvino.Type.f32)
    made = operations.multiply(floats, operations.constant(scale))
    made_of = {"integers": whole, "floats": floats, "scale": made.input_value(1).get_node(), "weights": made}
    for part, operation in made_of.items():  # or OpenVINO would number them over all that a process has made
        operation.set_friendly_name(f"{name}_{part}")
    return made
