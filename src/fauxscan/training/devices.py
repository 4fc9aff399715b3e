"""The devices that training runs on: one GPU, several in parallel, or the CPU."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import keras
import tensorflow as tf


def prepare(precision: str, devices: Sequence[str] = ()) -> AbstractContextManager[Any]:
    """Set the precision, let GPUs allocate memory as needed, and return the scope to build and train networks in.

    Networks are mirrored on `devices`. Default: all GPUs, if there are several.
    """
    keras.mixed_precision.set_dtype_policy(precision)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with suppress(RuntimeError):  # this process uses it already
            tf.config.experimental.set_memory_growth(gpu, True)
    named = list(devices) or [gpu.name.replace("physical_device:", "") for gpu in gpus]
    scope: AbstractContextManager[Any] = nullcontext()
    if len(named) > 1:
        scope = tf.distribute.MirroredStrategy(named).scope()
    return scope


def compiles() -> bool:
    """Return whether XLA compiles the training step, which it does on a single GPU.

    On a CPU these networks would run two to six times slower; mirrored networks span devices, which XLA cannot.
    """
    return bool(tf.config.list_physical_devices("GPU")) and not tf.distribute.has_strategy()
