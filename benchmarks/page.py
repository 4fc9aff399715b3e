"""The pages of measurements: each script writes its own section anew, and no other."""

import os
import platform
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
BENCHMARKS, RESULTS = DOCS / "benchmarks.md", DOCS / "results.md"
HEAD = """# Benchmarks

Ratios against a named peer or limit, both sides in one run, alternating; medians. Read the ratios: seconds are of one
noisy machine. Each section is written by the command that stands in it.
"""


def write(title: str, command: str, body: str, file: Path = BENCHMARKS) -> None:
    """Write the section `title`, with the command that makes it and the machine that it was made on."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    section = f"## {title}\n\n`{command}` ({machine})\n\n{body.strip()}\n"
    text = file.read_text(encoding="utf-8") if file.is_file() else HEAD
    parts = re.split(r"(?m)^(?=## )", text)
    others = [part.strip() + "\n" for part in parts[1:] if not part.startswith(f"## {title}\n")]
    file.write_text("\n".join([parts[0].strip() + "\n", *sorted([*others, section])]), encoding="utf-8")


def table(head: list[str], rows: list[list[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
