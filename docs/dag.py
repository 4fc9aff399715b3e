"""Draw the pipeline into README.md: `python docs/dag.py`. With --check, only check that the picture is current."""

import re
import subprocess
import sys
from pathlib import Path

import writing

ROOT = Path(__file__).parents[1]
NODE = re.compile(r'(node\d+)\["(.+?)"\]')
EDGE = re.compile(r"(node\d+)-->(node\d+)")


def picture() -> str:
    """Return the stages of dvc.yaml as a Mermaid chart, with one node per stage whatever its instances."""
    command = [sys.executable, "-m", "dvc", "dag", "--md"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    stage = {node: name.split("@")[0] for node, name in NODE.findall(text)}
    edges = sorted({(stage[one], stage[other]) for one, other in EDGE.findall(text)})
    lines = [f"    {one} --> {other}" for one, other in edges if one != other]
    return "\n".join(["```mermaid", "flowchart LR", *lines, "```"])


def main() -> None:
    """Draw the picture, or check it."""
    file = ROOT / "README.md"
    writing.keep(file, writing.between(file.read_text(encoding="utf-8"), "dag", picture()))


if __name__ == "__main__":
    main()
