"""Read the named arrays of a vision transformer out of an ONNX file, whether its weights are floats or 8-bit integers.

Names are those of Hugging Face's CLIP, such as `vision_model.encoder.layers.0.mlp.fc1.weight`. Kernels have the shape
(inputs, outputs).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fauxscan.records import ModelError


@dataclass(frozen=True)
class Rounded:
    """A kernel (inputs, outputs) that was rounded to 8 bits: whole numbers, and a scale for each output."""

    whole: NDArray[np.int8]
    scale: NDArray[np.float32]

    @property
    def floats(self) -> NDArray[np.float32]:
        """Return the kernel."""
        return self.whole.astype(np.float32) * self.scale


Arrays = Mapping[str, "NDArray[np.float32] | Rounded"]
MODEL = "vision_model."
QUANTISED, ZERO_POINT, SCALE = "_quantized", "_zero_point", "_scale"  # endings of the three parts of a kernel


def read(file: Path) -> Arrays:
    """Return the arrays by name. Raise ModelError if the file is not ONNX, or holds no vision transformer."""
    import openvino

    try:
        network = openvino.Core().read_model(file)
    except RuntimeError as error:
        raise ModelError(f"{file} cannot be read as an ONNX file: {str(error).strip()}") from error
    constants = {one.get_friendly_name(): one for one in network.get_ops() if one.get_type_name() == "Constant"}
    arrays: dict[str, NDArray[np.float32] | Rounded] = {
        name: np.array(one.data, np.float32) for name, one in constants.items() if name.startswith(MODEL)
    }
    for name, one in constants.items():
        if name.endswith(QUANTISED):
            arrays[f"{_layer(one)}.weight"] = _rounded(name.removesuffix(QUANTISED), constants)
    if not arrays:
        raise ModelError(f"{file} holds no vision transformer: none of its arrays has a name that begins with {MODEL}")
    return arrays


def _rounded(name: str, constants: dict[str, Any]) -> Rounded:
    """Return a kernel that was rounded. Raise ModelError if zero is not at zero."""
    kernel, zero_point, scale = (np.array(constants[f"{name}{end}"].data) for end in (QUANTISED, ZERO_POINT, SCALE))
    if kernel.dtype != np.int8 or zero_point.any():
        raise ModelError(f"the kernel {name} is rounded in another way than fauxscan can read")
    return Rounded(kernel, scale.astype(np.float32))


def floats(array: "NDArray[np.float32] | Rounded") -> NDArray[np.float32]:
    """Return an array as floats."""
    return array.floats if isinstance(array, Rounded) else array


def _layer(constant: Any) -> str:
    """Return the name of the layer whose kernel this is: the first product that it enters lies in that layer."""
    node = constant
    while node.get_type_name() != "MatMul":
        node = next(iter(node.output(0).get_target_inputs())).get_node()
    path, _, _ = str(node.get_friendly_name()).strip("/").rpartition("/")
    return path.replace("/", ".")
