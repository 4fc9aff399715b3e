"""The engine: files -> decoded once -> faces found once -> every model's logits -> one judgement a file."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Lock

from fauxscan.judging import panel
from fauxscan.judging.panel import Panel
from fauxscan.records import Status
from fauxscan.scanning.forward import Desk
from fauxscan.scanning.reading import Draft, Known, Reader
from fauxscan.scanning.rows import TRANSIENT, Entry, Outcome, Row
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.views import Scored

Result = tuple[Outcome, list[Row]]  # of one file: what is known of it, and its rows of the table `scores`


class Engine:
    """Judges files. The models are loaded when the first crop asks for them."""

    def __init__(self, settings: Settings, load: Callable[[Sequence[Path]], Panel] = panel.load) -> None:
        self.settings, self._load = settings, load
        self._lock = Lock()
        self._panel: Panel | None = None
        self._desks: list[Desk] = []

    def score(self, root: Path, entries: Sequence[Entry], known: Known) -> list[Result]:
        """Return the results of the files in their order; content that is known, or occurs twice, is judged once."""
        reader = Reader(self.settings, root, known)
        with ThreadPoolExecutor(self.settings.scan.threads) as pool:
            drafts = list(pool.map(partial(self._read, reader), entries))
        for desk in self._desks:
            desk.flush()
        judged = [None if draft.twin else self._result(draft) for draft in drafts]
        return self._with_twins(root, drafts, judged, known)

    def _read(self, reader: Reader, entry: Entry) -> Draft:
        """Return the file's draft, its crops laid before the models. A model's error is no file's: it ends the scan."""
        draft = reader.begin(entry)
        for image, row in reader.views(draft):
            self._open()[row.model].add(image, row)
            draft.rows.append(row)
        return draft

    def _open(self) -> list[Desk]:
        with self._lock:
            if self._panel is None:
                self._panel, batch = self._load(self.settings.folders), self.settings.scan.batch_faces
                self._desks = [Desk(m.scorer(batch), batch, m.card.input_size) for m in self._panel.members]
            return self._desks

    def _with_twins(self, root: Path, drafts: list[Draft], judged: list[Result | None], known: Known) -> list[Result]:
        """Return all results: a twin has that of its content, or is judged after all where the other file failed it."""
        of = {r[0].sha256: r[0] for r in judged if r and r[0].status not in TRANSIENT}
        left = [draft.entry for draft in drafts if draft.twin and draft.outcome.sha256 not in of]
        again = iter(self.score(root, left, known) if left else [])
        return [
            result or ((of[d.outcome.sha256].at(d.outcome), []) if d.outcome.sha256 in of else next(again))
            for d, result in zip(drafts, judged, strict=True)
        ]

    def _result(self, draft: Draft) -> Result:
        if not draft.judged and draft.outcome.status == Status.OK:
            self._judge(draft)
        return draft.outcome, [self._row(draft.outcome.sha256, row) for row in draft.rows]

    def _judge(self, draft: Draft) -> None:
        """Settle status, p_fake and verdict of a file whose logits are in."""
        outcome, rows = draft.outcome, draft.rows
        if not rows or self._panel is None:
            outcome.status, outcome.detail = Status.NO_FACE, "no face found, and no model here judges without one"
        elif not all(math.isfinite(row.logit) for row in rows):
            outcome.status, outcome.detail = Status.INVALID_SCORE, "a model gave a logit that is not a finite number"
        else:
            judged = self._panel.judge(self._media_logits(rows))
            outcome.p_fake, outcome.verdict, outcome.detail = judged.p_fake, judged.verdict, judged.reason or None

    def _media_logits(self, rows: Sequence[Scored]) -> dict[str, float]:
        """Return each model's logit of the file; a model that was given nothing is left out."""
        from fauxscan.judging.aggregation import media_logit  # SciPy takes seconds, and a scan may judge nothing

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
        return {**asdict(row), **named, "logit": logit, "p_fake": p_fake, "settings": self.settings.digest}


def check_files(files: Sequence[Path], settings: Settings) -> list[Outcome]:
    """Return the outcomes of single files; nothing is written."""
    entries = [Entry(str(file), None, None) for file in files]
    return [outcome for outcome, _ in Engine(settings).score(Path(), entries, lambda sha256: None)]
