"""Write the figures of each epoch as curves: for `dvc plots`, and on request for TensorBoard."""

from pathlib import Path

import keras
import tensorflow as tf

VALIDATION = "val_"


class Curves(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the figures of each epoch as DVCLive curves, after those of the run that this one resumes."""

    def __init__(self, folder: Path, earlier: list[dict[str, float]]) -> None:
        from dvclive import Live  # which requires DVC

        super().__init__()
        self.live = Live(str(folder), save_dvc_exp=False, dvcyaml=None, monitor_system=False)
        for figures in earlier:
            self._log(figures)

    def _log(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.live.log_metric(name, float(value))
        self.live.next_step()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Log one step."""
        self._log({name: value for name, value in (logs or {}).items() if name != "learning_rate"})


class EventFiles(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the figures of each epoch as event files in `train` and `validation`: TensorBoard draws both in one chart.

    A resumed training adds to the existing files. The callback of Keras would need TensorBoard to be installed.
    """

    def __init__(self, folder: Path, earlier: list[dict[str, float]]) -> None:
        super().__init__()
        exists = any(folder.rglob("events.out.tfevents.*"))
        self.parts = {part: tf.summary.create_file_writer(str(folder / part)) for part in ("train", "validation")}
        self.epoch = len(earlier) if exists else 0
        for figures in earlier[self.epoch :]:
            self._log(figures)

    def _log(self, figures: dict[str, float]) -> None:
        self.epoch += 1
        for name, value in figures.items():
            part = "validation" if name.startswith(VALIDATION) else "train"
            with self.parts[part].as_default(self.epoch):
                tf.summary.write(name.removeprefix(VALIDATION), tf.constant(value, tf.float32), metadata=_scalar())
        for writer in self.parts.values():
            writer.flush()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write one step, with the learning rate at its end."""
        self._log(
            {**(logs or {}), "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))}
        )


def _scalar() -> tf.compat.v1.SummaryMetadata:
    """Return the metadata of a point of a curve; `tf.summary.scalar` would need TensorBoard itself."""
    kind = tf.compat.v1.SummaryMetadata
    return kind(plugin_data=kind.PluginData(plugin_name="scalars"))
