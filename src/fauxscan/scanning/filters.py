"""Which names a scan takes in: patterns with the meaning that .gitignore gives them, and hidden names or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fauxscan.params import Links, Params, ScanParams, changed

if TYPE_CHECKING:  # a tenth of a second, which a scan without patterns need not wait
    from pathspec import GitIgnoreSpec


@dataclass(frozen=True)
class Filters:
    """What is taken in. Paths are relative to the root, with /."""

    include: "GitIgnoreSpec | None"  # None: every file
    exclude: "GitIgnoreSpec | None"
    hidden: bool

    def enters(self, folder: str) -> bool:
        """Return whether a folder is looked into."""
        return self._shown(folder) and not (self.exclude and self.exclude.match_file(_line(folder) + "/"))

    def takes(self, file: str) -> bool:
        """Return whether a file is taken in, the folders above it being entered."""
        line = _line(file)
        if not self._shown(file) or (self.exclude and self.exclude.match_file(line)):
            return False
        return self.include is None or self.include.match_file(line)

    def reach(self, file: str) -> bool:
        """Return whether a file is taken in, and every folder above it is entered."""
        return all(map(self.enters, above(file))) and self.takes(file)

    def _shown(self, path: str) -> bool:
        return self.hidden or not path.rpartition("/")[2].startswith(".")


def read(scan: ScanParams) -> Filters | None:
    """Return the filters of a scan; None if it takes in everything."""
    if scan.hidden and not scan.include and not scan.exclude:
        return None
    return Filters(_spec(scan.include), _spec(scan.exclude), scan.hidden)


def given(
    params: Params,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    hidden: bool | None = None,
    links: Links | None = None,
) -> Params:
    """Return the parameters with patterns added to theirs, and what else is said instead of them. Raise UserError."""
    patterns = {
        "include": (*params.scan.include, *(include or ())),
        "exclude": (*params.scan.exclude, *(exclude or ())),
    }
    return changed(params, "scan", {**patterns, "hidden": hidden, "links": links})


def above(path: str) -> Iterator[str]:
    """Give the folders that a path lies in, the outermost first, without the root."""
    at = path.find("/")
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)


def _spec(patterns: Sequence[str]) -> "GitIgnoreSpec | None":
    from pathspec import GitIgnoreSpec

    # The backend that is always there: results are not to depend on what else is installed.
    return GitIgnoreSpec.from_lines(map(_line, patterns), backend="simple") if patterns else None


def _line(text: str) -> str:
    """Return the text as one line: the library's wildcards stop at the end of a line, and names may hold one."""
    return text.replace("\n", "\r")
