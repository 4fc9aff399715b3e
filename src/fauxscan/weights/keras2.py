"""Read the weights in Keras 2 HDF5 files, from `save_weights` or whole models, by position. Nothing else is opened.

A whole model holds the weights of its layers below `model_weights`, and beside them its configuration, which may
contain the code of a Lambda layer: activations.py reads it as text, and nothing is built from it. An HDF5 file may also
point to other files of the machine, by links or external storage, and so bring their bytes into a model: every link is
refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fauxscan.records import UserError
from fauxscan.weights.assign import Filling, check_shape

MAGIC = b"\x89HDF\r\n\x1a\n"
Named = tuple[str, Any]  # a layer's or an array's name, and its HDF5 group or dataset


def fillings(path: Path, layers: Sequence[Any], trunk: bool) -> list[Filling]:
    """Return each variable of the layers with its array, matched by position; for a trunk, without the dense layers.

    Raise UserError if an array does not fit.
    """
    try:
        with h5py.File(path, "r") as file:
            theirs = [layer for layer in _layers(file) if layer[1]]
            if trunk:
                theirs = [layer for layer in theirs if len(layer[1][0][1].shape) != 2]
            _check_count(theirs, layers)
            return [
                pair for (name, found), ours in zip(theirs, layers, strict=True) for pair in _pair(name, found, ours)
            ]
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"it cannot be read as Keras 2 weights: {error}; fetch it again") from error


def _layers(file: Any) -> list[tuple[str, list[Named]]]:
    """Return the layers' names and arrays in the file's order."""
    root = file
    if "layer_names" not in file.attrs and "model_weights" in file:
        root = _child(file, "model_weights")
    if "layer_names" not in root.attrs and "layer_names0" not in root.attrs:
        raise UserError(
            "it is not a Keras 2 weight file: it names no layers. A `.weights.h5` file of Keras 3 cannot be "
            "imported: import the older file, or use a network that was trained here"
        )
    groups = [(name, _child(root, name)) for name in _names(root, "layer_names")]
    return [
        (layer, [(name, _dataset(group, name)) for name in _names(group, "weight_names")]) for layer, group in groups
    ]


def _names(group: Any, attribute: str) -> list[str]:
    """Return the names in an attribute; Keras splits long lists into `layer_names0`, `layer_names1`, …"""
    whole = [attribute] if attribute in group.attrs else []
    parts = whole or sorted((key for key in group.attrs if key.startswith(attribute)), key=lambda key: (len(key), key))
    names = [name for part in parts for name in np.atleast_1d(group.attrs[part])]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _child(group: Any, name: str) -> Any:
    """Return the object at `name`, a path with /. Raise UserError if a part of it is a soft or external link."""
    for step in name.split("/"):
        if not isinstance(group.get(step, getlink=True), h5py.HardLink):
            raise UserError(f"{name} is missing, or a link to another place, which is refused")
        group = group[step]
    return group


def _dataset(group: Any, name: str) -> Any:
    """Return a dataset of floats that is stored in the file itself. Raise UserError for any other."""
    found = _child(group, name)
    if not isinstance(found, h5py.Dataset) or found.dtype.kind != "f":
        raise UserError(f"{name} is not an array of floats")
    if found.external or found.is_virtual:
        raise UserError(f"{name} takes its values from another file, which is refused")
    return found


def _check_count(theirs: list[tuple[str, list[Named]]], ours: Sequence[Any]) -> None:
    if len(theirs) != len(ours):
        shapes = ", ".join(f"{name} {arrays[0][1].shape}" for name, arrays in theirs)
        raise UserError(
            f"wrong architecture: the file has {len(theirs)} layers with weights, this detector {len(ours)}; "
            f"in the file: {shapes}"
        )


def _pair(layer: str, arrays: list[Named], ours: Any) -> list[Filling]:
    """Return the variables of a layer with their arrays. The names must agree: arrays of a normalisation look alike."""
    names = [name.rpartition("/")[2].removesuffix(":0") for name, _ in arrays]
    wanted = [variable.name for variable in ours.weights]
    if len(names) != len(wanted) or not all(map(str.endswith, names, wanted)):  # depthwise_kernel of Keras 2 is kernel
        raise UserError(
            f"wrong architecture: the file's layer {layer} holds {', '.join(names)}; {ours.name} of this detector, "
            f"which is at the same position, takes {', '.join(wanted)}"
        )
    for (name, found), variable in zip(arrays, ours.weights, strict=True):
        check_shape(name, found.shape, variable)
    return [(variable, found[()].astype(np.float32)) for (_, found), variable in zip(arrays, ours.weights, strict=True)]
