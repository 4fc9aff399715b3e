"""The engine: files -> decoded once -> faces found once -> every model's logits -> one judgement a file."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from fauxscan.judging import panel
from fauxscan.judging.aggregation import media_logit
from fauxscan.judging.panel import Panel
from fauxscan.records import Status, UserError
from fauxscan.scanning import networks
from fauxscan.scanning.claims import Claims
from fauxscan.scanning.decoders import Decoder
from fauxscan.scanning.decoding import Faces
from fauxscan.scanning.forward import Desk, Desks
from fauxscan.scanning.places import LocalFolder, Place
from fauxscan.scanning.reading import Draft, Eyes, Memory, Reader, chunks
from fauxscan.scanning.rows import Entry, Outcome, Row
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.views import Scored

SCORED = tuple(field.name for field in fields(Scored))
VALUES = attrgetter(*SCORED)


class Result(NamedTuple):
    """Of one file: what is known of it, its rows of the table `scores`, and its faces if they were looked for."""

    outcome: Outcome
    rows: Sequence[Row] = ()
    faces: Faces | None = None  # None: they were not looked for


class Engine:
    """Judges files. Decoders are started, and models loaded, when the first file asks for them."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[Settings], Panel] = networks.load,
        eyes: Callable[[Settings], Eyes] = Decoder,
    ) -> None:
        self.settings, self._load, self._eyes = settings, load, eyes
        self._idle: SimpleQueue[Eyes] = SimpleQueue()
        self._claims, self._desks = Claims(), Desks(self._opened)
        self._given_up = False

    def score(self, root: Place, entries: Sequence[Entry], memory: Memory) -> list[Result]:
        """Return the results of the files in their order; content that is known, or occurs twice, is judged once."""
        parts = list(chunks(entries))
        drafts = [draft for part in parts for draft in part]
        results: list[Result | None] = [None] * len(drafts)
        try:
            self._read(Reader(self.settings, root, memory, self._claims), parts)
            results = [None if draft.twin else self._result(draft) for draft in drafts]
        finally:
            for draft, result in zip(drafts, results, strict=True):
                if draft.claim:
                    self._claims.settle(draft.claim, result)
        return self._with_twins(root, drafts, results, memory)

    def _read(self, reader: Reader, parts: Sequence[Sequence[Draft]]) -> None:
        """Fill in the drafts, logits included."""
        laid: set[Future[None]] = set()

        def read(part: Sequence[Draft]) -> None:
            with self._borrowed() as eyes:
                reader.read(part, eyes, lambda row, image: laid.add(self._desks.lay(row, image)))

        with self._desks.reading():
            self._wait([self._pool.submit(read, part) for part in parts])
        self._desks.settle(list(laid))

    def _wait(self, under_way: Sequence[Future[None]]) -> None:
        """Return when all parts are read. When one fails, those that run are waited for: they hold claims."""
        try:
            while wait(under_way, 0.5, FIRST_EXCEPTION).not_done:
                if self._given_up or any(part.done() and part.exception() for part in under_way):
                    break
        finally:
            for part in under_way:
                part.cancel()
            wait(under_way)
        for part in under_way:
            part.result()

    def give_up(self, now: bool) -> None:
        """Begin no more files until told otherwise: those who wait for them get a CancelledError."""
        self._given_up = now

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.settings.scan.worker_count)

    @contextmanager
    def _borrowed(self) -> Iterator[Eyes]:
        """Lend what looks at files to one thread."""
        try:
            eyes = self._idle.get_nowait()
        except Empty:
            eyes = self._eyes(self.settings)
        yield eyes
        self._idle.put(eyes)

    @cached_property
    def _panel(self) -> Panel:
        """Return the models. Raise UserError if they are not those that the settings were read from."""
        found, planned = self._load(self.settings), (self.settings.cards, self.settings.ensemble)
        if (tuple(member.card for member in found.members), found.ensemble) != planned:
            folders = ", ".join(map(str, self.settings.folders))
            raise UserError(f"{folders}: not the models that the scan began with; have the same everywhere, scan again")
        return found

    def _opened(self) -> list[Desk]:
        batch = self.settings.scan.batch_faces
        return [Desk(model.scorer(batch), batch, model.card.input_size) for model in self._panel.members]

    def _with_twins(
        self, root: Place, drafts: Sequence[Draft], results: Sequence[Result | None], memory: Memory
    ) -> list[Result]:
        """Return all results: a twin has that of its content, or is judged after all where the other file failed it."""
        known = [result or _of_twin(draft) for draft, result in zip(drafts, results, strict=True)]
        left = [draft.entry for draft, result in zip(drafts, known, strict=True) if result is None]
        again = iter(self.score(root, left, memory) if left else [])
        return [result or next(again) for result in known]

    def _result(self, draft: Draft) -> Result:
        if not draft.judged and draft.outcome.status == Status.OK:
            self._judge(draft)
        return Result(draft.outcome, [self._row(draft.outcome.sha256, row) for row in draft.rows], draft.faces)

    def _judge(self, draft: Draft) -> None:
        """Settle status, p_fake and verdict of a file whose logits are in."""
        outcome, rows = draft.outcome, draft.rows
        if not rows:
            outcome.status, outcome.detail = Status.NO_FACE, "no face found, and no model here judges without one"
        elif not all(math.isfinite(row.logit) for row in rows):
            outcome.status, outcome.detail = Status.INVALID_SCORE, "a model gave a logit that is not a finite number"
        else:
            judged = self._panel.judge(self._media_logits(rows))
            outcome.p_fake, outcome.verdict, outcome.detail = judged.p_fake, judged.verdict, judged.reason or None

    def _media_logits(self, rows: Sequence[Scored]) -> dict[str, float]:
        """Return each model's logit of the file; a model that was given nothing is left out."""
        of: dict[int, list[Scored]] = {}
        for row in rows:
            of.setdefault(row.model, []).append(row)
        names = [card.name for card in self.settings.cards]
        return {names[n]: media_logit([r.logit for r in rs], [r.track for r in rs]) for n, rs in of.items()}

    def _row(self, sha256: str | None, row: Scored) -> Row:
        """Return a row of `scores`; a logit that is not finite is null there."""
        card = self.settings.cards[row.model]
        logit = row.logit if math.isfinite(row.logit) else None
        p_fake = None if logit is None else panel.sigmoid(panel.calibrate(logit, card.calibration))
        named = {"sha256": sha256, "model": card.name, "model_digest": card.model_digest}
        told = dict(zip(SCORED, VALUES(row), strict=True))
        return {**told, **named, "logit": logit, "p_fake": p_fake, "settings": self.settings.digest}


def _of_twin(draft: Draft) -> Result | None:
    """Return the result of the file that is judged for the same content; None where it says nothing about this one."""
    found: Result | None = draft.twin.result.result() if draft.twin else None
    if found is None or found.outcome.status in (Status.UNREADABLE, Status.CHANGED_DURING_READ):
        return None
    return found._replace(outcome=found.outcome.at(draft.outcome))


class Forgetful:
    """The memory of one that has never scanned."""

    def outcome(self, sha256: str) -> Outcome | None:
        """Return nothing."""
        return None

    def faces(self, sha256: str) -> Faces | None:
        """Return nothing."""
        return None


def check_files(files: Sequence[Path], settings: Settings) -> list[Outcome]:
    """Return the outcomes of single files; nothing is written."""
    entries = [Entry(str(file), None, None, link=True) for file in files]
    return [result.outcome for result in Engine(settings).score(LocalFolder(Path()), entries, Forgetful())]
