"""Read PyTorch state dicts, in its zip format and the older one, without torch; match them to our layers by name.

The layer of the module `layer1.0.conv1` is called `layer1_0_conv1` here. Torch keeps a convolution's kernel as (out,
in, height, width) and a linear one's as (out, in), Keras as (height, width, in, out) and (in, out).
"""

import os
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fauxscan.records import UserError
from fauxscan.weights import torch_pickle
from fauxscan.weights.assign import Filling, check_shape
from fauxscan.weights.torch_pickle import NotData, Storage, Tensor

ZIP_MAGIC = b"PK\x03\x04"
OLD_MAGIC = b"\x80\x02\x8a\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little") + b"."  # a pickle of torch's number
COUNTER = "num_batches_tracked"  # not a weight: the number of batches that a normalisation has seen
VARIABLES = {  # our variable -> torch's; the axes of kernels differ as well
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
DAMAGED = (ValueError, KeyError, IndexError, RuntimeError, struct.error, zipfile.BadZipFile)
Fetch = Callable[[Storage], bytes]


def fillings(path: Path, layers: Sequence[Any], trunk: bool) -> list[Filling]:
    """Return each variable of the layers with its array, matched by name. For a trunk, skip the file's linear layers.

    Raise UserError that names missing and unused tensors, or those of another shape.
    """
    tensors, fetch = read_state(path)
    if trunk:
        linear = {_module(name) for name, tensor in tensors.items() if len(tensor.shape) == 2}
        tensors = {name: tensor for name, tensor in tensors.items() if _module(name) not in linear}
    wanted = {
        f"{_plain(layer.name)}.{VARIABLES.get(v.name, v.name)}": (layer, v) for layer in layers for v in layer.weights
    }
    found = _by_plain_name(tensors)
    _check_names(found, wanted)
    return [(variable, _array(name, found[name], fetch, layer, variable)) for name, (layer, variable) in wanted.items()]


def read_state(path: Path) -> tuple[dict[str, Tensor], Fetch]:
    """Return the tensors of a state dict by name, and a function that fetches a storage's bytes. Raise UserError."""
    try:
        with path.open("rb") as stream:
            is_zip = stream.read(len(ZIP_MAGIC)) == ZIP_MAGIC
        tree, fetch = _zipped(path) if is_zip else _old(path)
        return _state(tree), fetch
    except NotData as error:
        raise UserError(f"it is refused, and nothing of it was run: {error}") from error
    except DAMAGED as error:
        raise UserError(f"it is damaged or not a PyTorch state dict: {error}; fetch it again") from error


def _zipped(path: Path) -> tuple[Any, Fetch]:
    """Return the tree and the storages of `NAME/data.pkl` and `NAME/data/KEY` in a zip archive."""
    with zipfile.ZipFile(path) as archive:
        pickled = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickled) != 1:
            raise NotData(_other_archive(archive.namelist()))
        root = pickled[0].removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and _stored(archive, f"{root}byteorder") != b"little":
            raise NotData("its numbers are big-endian: save it again on another machine")
        with archive.open(_plainly_stored(archive, pickled[0])) as stream:
            tree, _ = torch_pickle.read_pickle(stream)
    return tree, lambda storage: _member(path, f"{root}data/{storage.key}", storage)


def _other_archive(names: Sequence[str]) -> str:
    if "model.weights.h5" in names:
        return (
            "it is a `.keras` archive, which may hold code. A model of fauxscan needs no import: name its folder with "
            "--models. For another model, import its weights in Keras 2 format (.h5)"
        )
    return "it is a zip archive without the one data.pkl of torch.save"


def _member(path: Path, name: str, storage: Storage) -> bytes:
    with zipfile.ZipFile(path) as archive:
        info = _plainly_stored(archive, name)
        if info.file_size != storage.count * np.dtype(storage.item).itemsize:
            raise NotData(f"{name} is not as long as its tensors say")
        return archive.read(info)


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    return archive.read(_plainly_stored(archive, name))


def _plainly_stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return the entry of a member. Raise NotData if it is compressed: torch never does that, so it may be a bomb."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise NotData(f"{name} is compressed, which torch does not do")
    return info


def _old(path: Path) -> tuple[Any, Fetch]:
    """Return the tree and the storages of a file in torch's format before 1.6: five pickles, then raw numbers."""
    with path.open("rb") as stream:
        stream.seek(len(OLD_MAGIC))
        torch_pickle.read_pickle(stream)  # the protocol's version
        machine, _ = torch_pickle.read_pickle(stream)
        if type(machine) is not dict or machine.get("little_endian") is not True:
            raise NotData("its numbers are big-endian: save it again on another machine")
        tree, storages = torch_pickle.read_pickle(stream)
        keys, _ = torch_pickle.read_pickle(stream)
        places = _places(stream, keys, storages)
    return tree, lambda storage: _slice(path, places[storage.key], storage.count * np.dtype(storage.item).itemsize)


def _places(stream: IO[bytes], keys: Any, storages: Mapping[str, Storage]) -> dict[str, int]:
    """Return the offset at which the numbers of each storage begin, just behind their count."""
    end = os.fstat(stream.fileno()).st_size
    if type(keys) is not list or not all(type(key) is str and key in storages for key in keys):
        raise NotData("it lists storages that no tensor names")
    places = {}
    for key in keys:
        (count,) = struct.unpack("<q", stream.read(8))
        if count != storages[key].count:
            raise NotData(f"the storage {key} is not as long as its tensors say")
        places[key] = stream.tell()
        after = places[key] + count * np.dtype(storages[key].item).itemsize
        if after > end:
            raise ValueError("it ends before its numbers do")
        stream.seek(after)
    return places


def _slice(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.read(size)


def _state(tree: Any) -> dict[str, Tensor]:
    """Return the state dict: the tree itself, or its only entry that holds nothing but tensors by name."""
    if type(tree) is not dict:
        raise NotData("it holds no dictionary of tensors")
    candidates = [tree, *(value for value in tree.values() if type(value) is dict)]
    states = [found for found in candidates if found and all(map(_is_entry, found.items()))]
    if len(states) != 1:
        raise NotData(f"it holds {len(states)} dictionaries of tensors by name instead of one")
    state: dict[str, Tensor] = states[0]
    parallel = "module."  # the prefix that torch's DataParallel adds to every name
    if all(name.startswith(parallel) for name in state):
        return {name.removeprefix(parallel): tensor for name, tensor in state.items()}
    return state


def _is_entry(item: tuple[Any, Any]) -> bool:
    return type(item[0]) is str and type(item[1]) is Tensor


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _plain(name: str) -> str:
    """Return the name of a module or of our layer in one spelling: `_blocks.0._bn1` and `blocks_0_bn1` are equal."""
    return re.sub("_+", "_", name.replace(".", "_")).strip("_")


def _by_plain_name(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        if kind != COUNTER and found.setdefault(f"{_plain(module)}.{kind}", tensor) is not tensor:
            raise UserError(f"two tensors of the file are called {_plain(module)}.{kind}")
    return found


def _check_names(found: Mapping[str, Tensor], wanted: Mapping[str, Any]) -> None:
    missing, spare = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or spare:
        raise UserError(
            f"wrong architecture: the file lacks {_some(missing)} and has, unused, {_some(spare)}; "
            "name the detector that it was trained with"
        )


def _some(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more


def _array(name: str, tensor: Tensor, fetch: Fetch, layer: Any, variable: Any) -> NDArray[np.float32]:
    """Return the numbers of a tensor in our order of axes. Raise UserError if its shape does not fit."""
    axes = _axes(layer, variable)
    if len(tensor.shape) != len(axes):
        check_shape(name, tensor.shape, variable)
    check_shape(name, [tensor.shape[axis] for axis in axes], variable)  # before any number is read
    item = np.dtype(tensor.storage.item)
    try:
        view = np.ndarray(
            tensor.shape, item, fetch(tensor.storage), tensor.offset * item.itemsize,
            tuple(stride * item.itemsize for stride in tensor.strides),
        )  # fmt: skip
    except (TypeError, *DAMAGED) as error:
        raise UserError(f"the file's numbers for {name} are missing or cut short: {error}; fetch it again") from error
    return view.transpose(axes).astype(np.float32)


def _axes(layer: Any, variable: Any) -> tuple[int, ...]:
    """Return torch's axes in the order that ours have."""
    import keras

    if variable.name != "kernel":
        return (0,)
    if isinstance(layer, keras.layers.Dense):
        return (1, 0)
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)  # (channels, 1, h, w) -> (h, w, channels, 1)
    return (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
