"""Draw the pipeline into README.md: `python docs/dag.py`. With --check, only say whether the picture is current."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
START, END = "<!-- dag:start -->", "<!-- dag:end -->"
NODE = re.compile(r'(node\d+)\["(.+?)"\]')
EDGE = re.compile(r"(node\d+)-->(node\d+)")


def picture() -> str:
    """Return the stages of dvc.yaml as a Mermaid chart, one node a stage, whatever the params instantiate."""
    command = [sys.executable, "-m", "dvc", "dag", "--md"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    stage = {node: name.split("@")[0] for node, name in NODE.findall(text)}
    edges = sorted({(stage[one], stage[other]) for one, other in EDGE.findall(text)})
    lines = [f"    {one} --> {other}" for one, other in edges if one != other]
    return "\n".join(["```mermaid", "flowchart LR", *lines, "```"])


def drawn(readme: str) -> str:
    """Return the README with a current picture between its marks."""
    before, rest = readme.split(START)
    return f"{before}{START}\n{picture()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Draw, or check."""
    file = ROOT / "README.md"
    readme = file.read_text(encoding="utf-8")
    if "--check" not in sys.argv:
        file.write_text(drawn(readme), encoding="utf-8")
    elif drawn(readme) != readme:
        sys.exit("the DAG in README.md is not that of dvc.yaml: run `python docs/dag.py`")


if __name__ == "__main__":
    main()
