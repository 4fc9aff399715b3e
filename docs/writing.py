"""What the scripts in docs/ share: a file is written, or, with --check, only compared with what would be written."""

import sys
from pathlib import Path


def between(text: str, mark: str, content: str) -> str:
    """Return the text with `content` between the comments `mark`:start and `mark`:end."""
    start, end = f"<!-- {mark}:start -->", f"<!-- {mark}:end -->"
    before, rest = text.split(start)
    return f"{before}{start}\n{content}\n{end}{rest.split(end)[1]}"


def keep(file: Path, text: str) -> None:
    """Write the file; with --check on the command line, end with a message if it is another."""
    script = Path(sys.argv[0]).name
    if "--check" not in sys.argv:
        file.write_text(text, encoding="utf-8")
    elif not file.is_file() or file.read_text(encoding="utf-8") != text:
        sys.exit(f"{file.name} is not what its sources say: run `python docs/{script}`")
