"""The engine: files are decoded once, faces are found once, and every model judges them.

On its way a scanned file is carried by six types. None of them is changed once it is made.

- `rows.Entry`: the file as the listing of the root describes it, before it is opened.
- `media.files.Content`: the open file, its hash and its first bytes; a decoder gets it as it is.
- `media.decode.FrameFaces`: one decoded image or frame and its faces, inside the decoder.
- `rows.Row`: one row of a table; each crop travels with its row of `scores`, to which the logit is added last.
- `engine.reader.Reading`: the file in the engine: its outcome so far, and what the rest of it waits for.
- `rows.Outcome`: the result for the file: its columns of `media`, its rows of `scores`, and its faces.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from fauxscan.judging.ensemble import Ensemble
from fauxscan.records import ModelError, Status
from fauxscan.scanning.decoding.process import Decoder
from fauxscan.scanning.engine import outcomes as outcome_rules
from fauxscan.scanning.engine.cancellation import Cancellation, complete
from fauxscan.scanning.engine.decoders import DecoderPool, MediaDecoder
from fauxscan.scanning.engine.given import GivenFiles
from fauxscan.scanning.engine.in_flight import InFlight
from fauxscan.scanning.engine.reader import History, NoHistory, Opener, Reader, Reading, chunks
from fauxscan.scanning.engine.rechecking import Rechecks
from fauxscan.scanning.inference import backends
from fauxscan.scanning.inference.batching import Batcher, Batchers
from fauxscan.scanning.rows import Entry, Outcome
from fauxscan.scanning.settings import Settings

GRACE_S = 1.0  # that files get to end after a cancellation; then their decoders are killed
OnJudged = Callable[
    [int], None
]  # called in any thread with a number of files that are read: only their last batch may be under way


class Engine:
    """Judges files inside a `with` block: decoders start and models load with the first file, and the block ends both.

    Blocks may be nested, in any threads; the end of the last one counts. Many threads may ask for judgements at once.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[Settings], Ensemble] = backends.load,
        decoder: Callable[[Settings], MediaDecoder] = Decoder,
    ) -> None:
        self.settings, self._load, self._decoder = settings, load, decoder
        self._session: _Session | None = None
        self._entered = 0
        self._lock = Lock()

    def __enter__(self) -> Self:
        """Open the engine."""
        with self._lock:
            self._entered += 1
            self._session = self._session or _Session(self.settings, self._load, self._decoder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End decoders and threads and let go of the models, unless another block is open."""
        with self._lock:
            self._entered -= 1
            session = None if self._entered else self._session
            self._session = self._session if self._entered else None
        if session:
            session.close()

    def check_models(self) -> None:
        """Raise ModelError or MissingExtraError if this machine cannot run the models of the settings. Load none."""
        if self._load is backends.load:
            backends.check(self.settings)

    def judge(
        self,
        root: Opener,
        entries: Sequence[Entry],
        history: History | None = None,
        cancellation: Cancellation | None = None,
    ) -> list[Outcome]:
        """Return the outcomes of the files under a root, in their order. A content that occurs twice is judged once.

        Raise CancelledError if `cancellation.cancel()` comes before all are judged, ModelError if the models or
        decoders cannot be started, and OSError if the root fails.
        """
        return complete(self.judge_until_cancelled(root, entries, history, cancellation))

    def judge_until_cancelled(
        self,
        root: Opener,
        entries: Sequence[Entry],
        history: History | None = None,
        cancellation: Cancellation | None = None,
        on_judged: OnJudged = lambda files: None,
    ) -> list[Outcome | None]:
        """Return the outcomes as `judge` does, after a cancellation with None for the files that are not judged."""
        session = self._session
        if session is None:
            raise RuntimeError("it is not open: use it in a `with` block")
        return session.judge(root, entries, history or NoHistory(), cancellation or Cancellation(), on_judged)

    def check(self, files: Sequence[Path | bytes], cancellation: Cancellation | None = None) -> list[Outcome]:
        """Return the outcomes of single files, each given as a path or as its bytes. Raise what `judge` raises."""
        given = GivenFiles(files)
        return self.judge(given, given.entries, cancellation=cancellation)


class _Session:
    """What an engine has while it is open."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[Settings], Ensemble],
        decoder: Callable[[Settings], MediaDecoder],
    ) -> None:
        self.settings, self._load = settings, load
        self._decoders = DecoderPool(lambda: decoder(settings))
        self._threads = ThreadPoolExecutor(settings.scan.worker_count, "fauxscan-reader")
        self._chunks: set[Future[list[Reading]]] = set()  # that are read now or later
        self._in_flight, self._batchers = InFlight(), Batchers(self._create_batchers)
        self._loaded: Ensemble | None = None
        self._closed = False
        self._loading, self._submitting = Lock(), Lock()

    def close(self) -> None:
        """End threads and decoders. Requests whose files have not all begun get CancelledError."""
        with self._submitting:
            self._closed = True
        for chunk in list(self._chunks):  # not by the shutdown, which would tell no one who waits
            chunk.cancel()
        self._threads.shutdown()
        self._decoders.close()

    def judge(
        self, root: Opener, entries: Sequence[Entry], history: History, cancellation: Cancellation, on_judged: OnJudged
    ) -> list[Outcome | None]:
        rechecks = Rechecks(self.settings, self._batchers)
        reader = Reader(self.settings, root, history, self._in_flight, self._batchers, cancellation, rechecks.add)
        judged: dict[str, Outcome] = {}
        try:
            readings = rechecks.finish(self._read(reader, entries, on_judged), lambda: cancellation.cancelled)
            outcomes = [self._outcome(reading) for reading in readings]
            judged = {
                one.own_content: outcome
                for one, outcome in zip(readings, outcomes, strict=True)
                if one and outcome and one.own_content
            }
        finally:
            for sha256 in reader.own_contents:
                self._in_flight.end(sha256, judged.get(sha256))
        known = [_shared(*one, cancellation) for one in zip(readings, outcomes, strict=True)]
        left = [entry for entry, outcome in zip(entries, known, strict=True) if outcome is None]
        if not left or None in readings or cancellation.cancelled:
            return known
        again = iter(self.judge(root, left, history, cancellation, lambda files: None))  # they are counted
        return [outcome or next(again) for outcome in known]

    def _outcome(self, reading: Reading | None) -> Outcome | None:
        return None if reading is None else outcome_rules.judge(reading, self.settings)

    def _read(self, reader: Reader, entries: Sequence[Entry], on_judged: OnJudged) -> list[Reading | None]:
        """Return the readings of all files, once their logits are there; None for files that were cancelled."""
        lent, cancellation = set[MediaDecoder](), reader.cancellation

        def read(chunk: Sequence[Entry]) -> list[Reading]:
            with self._decoders.borrow(lent) as decoder:
                readings = reader.read(chunk, decoder)
            on_judged(len(chunk))
            return readings

        parts = list(chunks(entries))
        with self._batchers.reading():
            found = _results([self._submit(partial(read, chunk)) for chunk in parts], lent, cancellation)
        readings = list[Reading | None]()
        for chunk, read_chunk in zip(parts, found, strict=True):
            readings += read_chunk or [None] * len(chunk)
        pending = [logit for reading in readings if reading for _, logit in reading.scored]
        self._batchers.wait_all(pending, lambda: cancellation.cancelled)
        return readings

    def _submit(self, read: Callable[[], list[Reading]]) -> "Future[list[Reading]]":
        """Return the chunk that is read now or later; a cancelled one if the session is being closed."""
        with self._submitting:
            if self._closed:
                return _cancelled()
            chunk = self._threads.submit(read)
            self._chunks.add(chunk)
        chunk.add_done_callback(self._chunks.discard)
        return chunk

    def _models(self) -> Ensemble:
        """Return the models, loaded at the first call. Raise ModelError if the settings were read from other ones."""
        with self._loading:
            if self._loaded is None:
                self._loaded = _check(self._load(self.settings), self.settings)
            return self._loaded

    def _create_batchers(self) -> dict[str, Batcher]:
        batch = self.settings.scan.batch_faces
        members = self._models().members
        return {one.card.name: Batcher(one.scorer(batch), batch, one.card.input_size) for one in members}


def _results(
    chunks: Sequence["Future[list[Reading]]"], lent: Collection[MediaDecoder], cancellation: Cancellation
) -> list[list[Reading] | None]:
    """Return the results of all chunks, None for those that were cancelled. After an error no more begin."""
    waiting = set(chunks)
    try:
        while waiting and not cancellation.cancelled:
            done = cancellation.wait_any(waiting)
            if any(chunk.cancelled() or chunk.exception() for chunk in done):
                break
            waiting -= done
    except KeyboardInterrupt:
        cancellation.cancel()
        raise
    finally:
        for chunk in chunks:
            chunk.cancel()
        while wait(chunks, GRACE_S).not_done:
            for decoder in tuple(lent) if cancellation.cancelled else ():
                decoder.interrupt()
    return [None if _is_cancelled(chunk) else chunk.result() for chunk in chunks]


def _cancelled() -> "Future[list[Reading]]":
    chunk = Future[list[Reading]]()
    chunk.cancel()
    chunk.set_running_or_notify_cancel()  # without it, `wait` would not count the future as done
    return chunk


def _is_cancelled(chunk: "Future[list[Reading]]") -> bool:
    return chunk.cancelled() or isinstance(chunk.exception(), CancelledError)


def _shared(reading: Reading | None, outcome: Outcome | None, cancellation: Cancellation) -> Outcome | None:
    """Return the outcome of a file, for a duplicate that of the other file; None if that one has none to share."""
    if reading is None or outcome is None or reading.duplicate_of is None:
        return outcome
    done = cancellation.wait_any([reading.duplicate_of])
    judged = reading.duplicate_of.result() if done else None
    if judged is None or judged.status in (Status.UNREADABLE, Status.CHANGED_DURING_READ):
        return None
    return judged.at(outcome)


def _check(models: Ensemble, settings: Settings) -> Ensemble:
    """Return the models. Raise ModelError if the settings were read from other ones."""
    loaded = (tuple(settings.in_use(one.card) for one in models.members), models.card)
    if loaded != (settings.cards, settings.ensemble_card):
        folders = ", ".join(map(str, settings.folders))
        raise ModelError(
            f"{folders}: not the models that the scan began with; put the same models on every machine, then scan again"
        )
    return models


def check_files(files: Sequence[Path | bytes], settings: Settings) -> list[Outcome]:
    """Return the outcomes of single files, each given as a path or as its bytes; nothing is written."""
    with Engine(settings) as engine:
        return engine.check(files)
