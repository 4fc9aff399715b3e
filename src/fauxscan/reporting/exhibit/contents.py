"""What the page of an exhibit shows: the records of its extract, which is saved as JSON beside the page."""

from datetime import datetime

from fauxscan.records import Strict
from fauxscan.reporting.scan_page.contents import Item, Model, Setting

VERSION = 1


class Fact(Strict):
    """Something that the file says about itself, or that was measured on it."""

    name: str
    value: str


class Proposition(Strict):
    """One of the two propositions, and what the scores say about it."""

    name: str  # authentic or synthetic
    statement: str
    findings: tuple[str, ...]


class Exhibit(Strict):
    """Everything that the page of an exhibit shows."""

    version: int = VERSION
    made_at: datetime
    made_by: str  # the version of fauxscan
    path: str  # absolute
    sha256_before: str  # computed before the file was judged, of the whole file
    sha256_judged: str | None  # of the bytes that were judged; None if they could not be read
    sha256_after: str  # computed after it was judged
    md5: str  # for tools that know no better
    facts: tuple[Fact, ...]
    status: str
    remedy: str  # what to do about a file that could not be judged
    verdict: str | None
    p_fake: float | None
    detail: str | None
    conclusion: str
    propositions: tuple[Proposition, ...]  # none if the file could not be judged
    models: tuple[Model, ...]
    settings: tuple[Setting, ...]
    settings_digest: str
    item: Item | None  # the pictures and scores; None if the file could not be judged
    repeat: tuple[str, ...]  # commands that repeat the judgement
    notes: tuple[str, ...]

    @property
    def unchanged(self) -> bool:
        """Return whether the bytes were the same before, during and after the judgement."""
        return self.sha256_before == self.sha256_after and self.sha256_judged in (None, self.sha256_before)
