"""What training does at each epoch's end: keeps the best weights and a checkpoint to go on from, tells its speed."""

import json
import logging
import os
from pathlib import Path
from time import perf_counter
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fauxscan.records import Recipe

log = logging.getLogger(__name__)
Arrays = list[NDArray[Any]]
REMEMBERED = ("wait", "best", "cooldown_counter")  # of Keras's callbacks: how long nothing got better


class Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the best weights of all phases, and after each epoch all that is needed to go on from there."""

    def __init__(self, file: Path, key: str, recipe: Recipe) -> None:
        super().__init__()
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file, self.key, self.recipe = file, key, recipe
        self.sign = -1 if recipe.monitor == "val_loss" else 1
        self.phase, self.epoch, self.history = 0, 0, list[dict[str, float]]()
        self.best: Arrays = []
        self.last: dict[str, Arrays] = {}
        self.counters: dict[str, dict[str, float]] = {}
        self.others: list[Any] = []
        self._read()

    @property
    def chosen(self) -> int:
        """Return the place in the history of the epoch whose weights the model gets."""
        if self.recipe.keep == "last":
            return len(self.history) - 1
        return max(range(len(self.history)), key=lambda place: self.sign * self.history[place][self.recipe.monitor])

    def begins(self, phase: int) -> int:
        """Return the epoch at which a phase goes on; a new phase begins at 0."""
        if phase > self.phase:
            self.phase, self.epoch, self.last, self.counters = phase, 0, {}, {}
        return self.epoch

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Put back what an earlier run left."""
        if not self.last:
            return
        self.model.set_weights(self.last["weights"])
        self.model.optimizer.build(self.model.trainable_variables)
        for variable, value in zip(self.model.optimizer.variables, self.last["optimizer"], strict=True):
            variable.assign(value)
        for other in self.others:
            vars(other).update(self.counters.get(type(other).__name__, {}))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the figures; keep the weights if they are the best."""
        self.history.append({name: float(value) for name, value in (logs or {}).items() if name != "learning_rate"})
        self.epoch = epoch + 1
        if self.chosen == len(self.history) - 1:
            self.best = self.model.get_weights()
        self._write()

    def finish(self) -> None:
        """Forget the checkpoint: who trains again, with code that was edited meanwhile, begins anew."""
        self.file.unlink(missing_ok=True)

    def _write(self) -> None:
        arrays = {"weights": self.model.get_weights(), "best": self.best,
                  "optimizer": [np.asarray(value) for value in self.model.optimizer.variables]}  # fmt: skip
        counters = {
            type(other).__name__: {n: float(v) for n, v in vars(other).items() if n in REMEMBERED and v is not None}
            for other in self.others
        }
        state = {"key": self.key, "phase": self.phase, "epoch": self.epoch, "history": self.history,
                 "counters": counters, "ends": bool(self.model.stop_training)}  # fmt: skip
        named = {f"{kind}{place:05d}": value for kind, found in arrays.items() for place, value in enumerate(found)}
        aside = self.file.with_suffix(".part")
        with aside.open("wb") as opened:
            np.savez(opened, state=np.frombuffer(json.dumps(state).encode(), np.uint8), **named)
            opened.flush()
            os.fsync(opened.fileno())
        aside.replace(self.file)

    def _read(self) -> None:
        if not self.file.is_file():
            return
        try:
            with np.load(self.file, allow_pickle=False) as found:
                state = json.loads(found["state"].tobytes())
                kinds = {kind: [found[name] for name in sorted(found.files) if name.startswith(kind)]
                         for kind in ("weights", "optimizer", "best")}  # fmt: skip
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            log.warning("%s cannot be read (%s): training begins anew", self.file, error)
            return
        if state["key"] != self.key:
            log.info("%s is of other data or another recipe: training begins anew", self.file)
            return
        self.best, self.last = kinds.pop("best"), kinds
        self.phase, self.epoch, self.history = state["phase"], state["epoch"], state["history"]
        self.counters = state["counters"]
        if state["ends"]:
            self.epoch = 1 << 30  # this phase was over
        log.info("training goes on after epoch %d", len(self.history))


class Bar(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows images a second: a bar in a terminal, a line an epoch elsewhere."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Begin a bar."""
        total = (self.params.get("steps") or 0) * self.batch or None
        self.bar = tqdm(desc=f"epoch {epoch + 1}", total=total, unit=" images", disable=None, leave=False)
        self.count, self.begun = 0, perf_counter()
        self.ended = self.begun

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Count a batch."""
        self.count += self.batch
        self.bar.update(self.batch)
        self.ended = perf_counter()  # what comes after the last batch is validation

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Say the figures, and how fast it went."""
        seconds = self.ended - self.begun
        self.bar.close()
        figures = ", ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        log.info("epoch %d: %s; %.0f images a second", epoch + 1, figures, self.count / max(seconds, 1e-9))
