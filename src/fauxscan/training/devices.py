"""What training runs on: a GPU, several side by side, or the CPU where there is none."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import keras
import tensorflow as tf


def prepare(precision: str, devices: Sequence[str] = ()) -> AbstractContextManager[Any]:
    """Set the precision, let GPUs take memory as they need it, and return the scope to build and train in.

    Networks are mirrored on `devices`, by default on all GPUs if there are several.
    """
    keras.mixed_precision.set_dtype_policy(precision)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with suppress(RuntimeError):  # this process has begun to use it already
            tf.config.experimental.set_memory_growth(gpu, True)
    named = list(devices) or [gpu.name.replace("physical_device:", "") for gpu in gpus]
    scope: AbstractContextManager[Any] = nullcontext()
    if len(named) > 1:
        scope = tf.distribute.MirroredStrategy(named).scope()
    return scope


def compiles() -> bool:
    """Return whether training is to be compiled by XLA: on one GPU.

    On a CPU these networks then run two to six times slower; mirrored ones span devices, which XLA does not.
    """
    return bool(tf.config.list_physical_devices("GPU")) and not tf.distribute.has_strategy()
