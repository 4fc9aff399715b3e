"""Helpers of the scripts in docs/: write a file, or, with --check, only compare it with what would be written."""

import sys
from pathlib import Path


def between(text: str, mark: str, content: str) -> str:
    """Return the text with `content` placed between the comments `mark`:start and `mark`:end."""
    start, end = f"<!-- {mark}:start -->", f"<!-- {mark}:end -->"
    before, rest = text.split(start)
    return f"{before}{start}\n{content}\n{end}{rest.split(end)[1]}"


def keep(file: Path, text: str) -> None:
    """Write the file. With --check on the command line, exit with a message if the file differs."""
    script = Path(sys.argv[0]).name
    if "--check" not in sys.argv:
        file.write_text(text, encoding="utf-8")
    elif not file.is_file() or file.read_text(encoding="utf-8") != text:
        sys.exit(f"{file.name} is out of date: run `python docs/{script}`")
