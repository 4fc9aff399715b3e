"""Compare activations with those of a whole Keras 2 model: its weights also fit a network that computes otherwise."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from fauxscan.records import UserError

CONFIG = "model_config"
LAYERS = {"ReLU": "relu", "ELU": "elu"}
STRINGS = {"leaky_relu": "leaky_relu with slope 0.2"}  # of Keras's function; a layer states its own
NONE = (None, "linear", "sigmoid")  # their output is a probability, ours a logit


def check(path: Path, network: Any) -> None:
    """Compare the activations of the Keras 2 model in `path`, if it is a whole one, with the network's own.

    The configuration is read as text, and nothing is built from it. Raise UserError if they differ.
    """
    try:
        with h5py.File(path, "r") as file:
            if CONFIG not in file.attrs:
                return
            theirs = Counter(_activations(json.loads(file.attrs[CONFIG])))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"its configuration cannot be read: {error}; fetch it again") from error
    ours = Counter(_activations(json.loads(network.to_json())))
    if theirs != ours:
        raise UserError(
            f"wrong activation: the file's network has {_listed(theirs)}, and this detector, with these options, "
            f"{_listed(ours)}; name the one it was trained with, such as --option activation=elu or "
            "--option 'activation={leaky_relu: 0.3}'"
        )


def _activations(layer: dict[str, Any]) -> Iterator[str]:
    """Yield the activations in the configuration of a layer or network, of Keras 2 or 3."""
    kind, config = layer["class_name"], layer["config"]
    inner = (
        config if isinstance(config, list) else config.get("layers", ())
    )  # early Keras lists the layers of a sequence
    for one in inner:
        yield from _activations(one)
    named = config.get("activation") if isinstance(config, dict) else None
    if kind == "LeakyReLU":
        slope = config["negative_slope"] if "negative_slope" in config else config["alpha"]
        yield f"leaky_relu with slope {float(slope):.4g}"
    elif kind in LAYERS:
        yield LAYERS[kind]
    elif isinstance(named, dict):
        yield from _activations(named)
    elif named not in NONE:
        yield STRINGS.get(str(named), str(named))


def _listed(activations: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(activations.items())) or "none"
