"""The names that a scan includes: patterns with the meaning that .gitignore gives them, and hidden names or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fauxscan.params import Links, Params, ScanParams, changed

if TYPE_CHECKING:  # the import takes a tenth of a second, which a scan without patterns does not spend
    from pathspec import GitIgnoreSpec


@dataclass(frozen=True)
class Filters:
    """The names that a scan includes. Paths are relative to the root, with /."""

    include: "GitIgnoreSpec | None"  # None: every file
    exclude: "GitIgnoreSpec | None"
    hidden: bool

    def enters_folder(self, folder: str) -> bool:
        """Return whether the files in a folder may be included, given that its parent folders are entered."""
        return self._is_shown(folder) and not (self.exclude and self.exclude.match_file(_one_line(folder) + "/"))

    def includes_file(self, file: str) -> bool:
        """Return whether a file is included, given that its parent folders are entered."""
        line = _one_line(file)
        if not self._is_shown(file) or (self.exclude and self.exclude.match_file(line)):
            return False
        return self.include is None or self.include.match_file(line)

    def reaches_file(self, file: str) -> bool:
        """Return whether a file is included and each of its parent folders is entered."""
        return all(map(self.enters_folder, parent_folders(file))) and self.includes_file(file)

    def _is_shown(self, path: str) -> bool:
        return self.hidden or not path.rpartition("/")[2].startswith(".")


def read_filters(scan: ScanParams) -> Filters | None:
    """Return the filters of a scan, or None if it includes everything."""
    if scan.hidden and not scan.include and not scan.exclude:
        return None
    return Filters(_spec(scan.include), _spec(scan.exclude), scan.hidden)


def add_filters(
    params: Params,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    hidden: bool | None = None,
    links: Links | None = None,
) -> Params:
    """Return the parameters with patterns added to theirs, and `hidden` and `links` replaced where they are given.

    Raise InputError for a pattern that is not valid.
    """
    patterns = {
        "include": (*params.scan.include, *(include or ())),
        "exclude": (*params.scan.exclude, *(exclude or ())),
    }
    return changed(params, "scan", {**patterns, "hidden": hidden, "links": links})


def parent_folders(path: str) -> Iterator[str]:
    """Yield the folders that contain a path, the outermost first, without the root."""
    end = path.find("/")
    while end != -1:
        yield path[:end]
        end = path.find("/", end + 1)


def _spec(patterns: Sequence[str]) -> "GitIgnoreSpec | None":
    from pathspec import GitIgnoreSpec

    # The backend that is always available: results must not depend on which other packages are installed.
    return GitIgnoreSpec.from_lines(map(_one_line, patterns), backend="simple") if patterns else None


def _one_line(text: str) -> str:
    """Return a text as one line: pathspec's wildcards stop at the end of a line, and names may contain line breaks."""
    return text.replace("\n", "\r")
