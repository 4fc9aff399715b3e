"""Keep the best weights and a checkpoint to resume from, and report progress, while Keras trains."""

import json
import logging
from pathlib import Path
from time import perf_counter
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from numpy.typing import NDArray

from fauxscan import disk
from fauxscan.progress import Progress
from fauxscan.records import Recipe

log = logging.getLogger(__name__)
Arrays = list[NDArray[Any]]
COUNTERS = ("wait", "best", "cooldown_counter")  # state of Keras's callbacks: how long nothing has improved


class Checkpointer(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the best weights of all phases and, after each epoch, everything needed to resume from there."""

    def __init__(self, file: Path | None, key: str, recipe: Recipe) -> None:
        """Take the checkpoint's file, None for a training too short to resume; what it follows from; and its recipe."""
        super().__init__()
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
        self.file, self.key, self.recipe = file, key, recipe
        self.sign = -1 if recipe.monitor == "val_loss" else 1
        self.phase, self.epoch, self.history = 0, 0, list[dict[str, float]]()
        self.best: Arrays = []
        self.last: dict[str, Arrays] = {}
        self.counters: dict[str, dict[str, float]] = {}
        self.watchers: list[Any] = []
        self._restore()

    @property
    def chosen(self) -> int:
        """Return the position in the history of the epoch whose weights the model gets."""
        if self.recipe.keep == "last":
            return len(self.history) - 1
        return max(range(len(self.history)), key=lambda place: self.sign * self.history[place][self.recipe.monitor])

    def first_epoch(self, phase: int) -> int:
        """Return the epoch at which a phase resumes; a new phase begins at 0."""
        if phase > self.phase:
            self.phase, self.epoch, self.last, self.counters = phase, 0, {}, {}
        return self.epoch

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Restore weights, optimizer and counters of an interrupted run."""
        if not self.last:
            return
        self.model.set_weights(self.last["weights"])
        self.model.optimizer.build(self.model.trainable_variables)
        for variable, value in zip(self.model.optimizer.variables, self.last["optimizer"], strict=True):
            variable.assign(value)
        for watcher in self.watchers:
            vars(watcher).update(self.counters.get(type(watcher).__name__, {}))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the figures, keep the weights if they are the best, and write the checkpoint."""
        self.history.append({name: float(value) for name, value in (logs or {}).items() if name != "learning_rate"})
        self.epoch = epoch + 1
        if self.chosen == len(self.history) - 1:
            self.best = self.model.get_weights()
        self._write()

    def finish(self) -> None:
        """Delete the checkpoint, so that training again, with code edited meanwhile, starts from the beginning."""
        if self.file:
            self.file.unlink(missing_ok=True)

    def _write(self) -> None:
        if not self.file:
            return
        arrays = {"weights": self.model.get_weights(), "best": self.best,
                  "optimizer": [np.asarray(value) for value in self.model.optimizer.variables]}  # fmt: skip
        state = {"key": self.key, "phase": self.phase, "epoch": self.epoch, "history": self.history,
                 "counters": {type(watcher).__name__: _counters(watcher) for watcher in self.watchers},
                 "ends": bool(self.model.stop_training)}  # fmt: skip
        named = {f"{kind}{place:05d}": value for kind, values in arrays.items() for place, value in enumerate(values)}
        with disk.atomic_write(self.file) as file:
            np.savez(file, state=np.frombuffer(json.dumps(state).encode(), np.uint8), **named)

    def _restore(self) -> None:
        """Take over the checkpoint that an interrupted run left, if it is readable and has the same key."""
        if not (self.file and self.file.is_file()):
            return
        try:
            state, arrays = _read_checkpoint(self.file)
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            log.warning("%s cannot be read (%s): training starts from the beginning", self.file, error)
            return
        if state["key"] != self.key:
            log.info("%s belongs to other data or another recipe: training starts from the beginning", self.file)
            return
        self.best, self.last = arrays.pop("best"), arrays
        self.phase, self.epoch, self.history = state["phase"], state["epoch"], state["history"]
        self.counters = state["counters"]
        if state["ends"]:
            self.epoch = 1 << 30  # early stopping had ended this phase
        log.info("training resumes after epoch %d", len(self.history))


def _counters(watcher: Any) -> dict[str, float]:
    return {name: float(value) for name, value in vars(watcher).items() if name in COUNTERS and value is not None}


def _read_checkpoint(file: Path) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """Return the state and the arrays by kind: weights, optimizer and best."""
    with np.load(file, allow_pickle=False) as content:
        state = json.loads(content["state"].tobytes())
        arrays = {
            kind: [content[name] for name in sorted(content.files) if name.startswith(kind)]
            for kind in ("weights", "optimizer", "best")
        }
    return state, arrays


class ProgressBar(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows images per second: a bar in a terminal, one log line per epoch elsewhere."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start a bar."""
        total = (self.params.get("steps") or 0) * self.batch or None
        self.progress = Progress(f"epoch {epoch + 1}", total, "images", ends=False, leave=False)
        self.count, self.started = 0, perf_counter()
        self.ended = self.started

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Count a batch."""
        self.count += self.batch
        self.progress.advance(self.batch)
        self.ended = perf_counter()  # the time after the last batch is validation

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Log the figures and the speed."""
        seconds = self.ended - self.started
        self.progress.close()
        figures = ", ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        log.info("epoch %d: %s; %.0f images a second", epoch + 1, figures, self.count / max(seconds, 1e-9))
