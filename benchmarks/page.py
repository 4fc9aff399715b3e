"""The pages of measurements: each script rewrites its own section and leaves the others alone."""

import os
import platform
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
BENCHMARKS, RESULTS = DOCS / "benchmarks.md", DOCS / "results.md"
HEAD = """# Benchmarks

Ratios compare fauxscan with a named peer or limit; both were measured in one run, in turns, and the figures are
medians. Read the ratios rather than the seconds, which come from one noisy machine. Each section was written by the
command below its heading.
"""


def write(title: str, command: str, body: str, file: Path = BENCHMARKS) -> None:
    """Write the section `title`, with the command that writes it and the machine that it was measured on."""
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
