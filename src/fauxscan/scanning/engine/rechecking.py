"""A second look at files whose verdict is near its threshold: their crops are judged again after a mild re-encoding."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock

from fauxscan.media.images import codec
from fauxscan.media.images.codec import Image
from fauxscan.records import Kind
from fauxscan.scanning.engine import outcomes
from fauxscan.scanning.engine.reader import Reading
from fauxscan.scanning.inference.batching import Batchers, PendingLogit
from fauxscan.scanning.settings import Settings

JPEG_QUALITY = 90  # of the crops, at the size that the model takes, with chroma 4:2:0; see `settings.REENCODING`


class Rechecks:
    """The files of one request whose verdicts are checked, if the settings say so.

    The crops of a file are kept until all its logits are there, and then re-encoded and submitted again, or let go. So
    few files have crops here at a time: those that are being decoded, and those in batches that are not full.
    """

    def __init__(self, settings: Settings, batchers: Batchers) -> None:
        self._settings, self._batchers = settings, batchers
        self._waiting: list[tuple[Reading, Sequence[Image]]] = []
        self._submitted: dict[Reading, list[PendingLogit]] = {}
        self._lock = Lock()

    def add(self, reading: Reading, crops: Sequence[Image]) -> None:
        """Take a file with its crops (size, size, 3), and submit the files whose logits are there by now."""
        if reading.scored and crops:
            with self._lock:
                self._waiting.append((reading, crops))
            self._submit_ready()

    def finish(self, readings: Sequence[Reading | None], cancelled: Callable[[], bool]) -> list[Reading | None]:
        """Return the readings, whose logits must be there, with those of their re-encoded crops if they have any."""
        self._submit_ready()
        pending = [logit for reading in readings if reading for logit in self._submitted.get(reading, ())]
        self._batchers.wait_all(pending, cancelled)
        return [reading and self._with_reencoded(reading) for reading in readings]

    def _with_reencoded(self, reading: Reading) -> Reading:
        submitted = self._submitted.get(reading)
        return replace(reading, reencoded=submitted) if submitted else reading

    def _submit_ready(self) -> None:
        for reading, crops in self._take_ready():
            rows = [{**row, "logit": logit.result()} for row, logit in reading.scored]
            kind = reading.outcome.kind
            if kind and outcomes.needs_check(rows, Kind(kind), self._settings):
                self._submitted[reading] = [
                    self._batchers.submit(row["model"], codec.jpeg_compressed(crop, JPEG_QUALITY))
                    for row, crop in zip(rows, crops, strict=True)
                ]

    def _take_ready(self) -> list[tuple[Reading, Sequence[Image]]]:
        """Remove the files whose logits are all there, and return them."""
        ready, waiting = list[tuple[Reading, Sequence[Image]]](), list[tuple[Reading, Sequence[Image]]]()
        with self._lock:
            for reading, crops in self._waiting:
                done = all(logit.done for _, logit in reading.scored)
                (ready if done else waiting).append((reading, crops))
            self._waiting = waiting
        return ready
