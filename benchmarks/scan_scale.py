"""The cost of a scan apart from networks: unchanged folders, memory and start-up.

`python benchmarks/scan_scale.py [SMALL LARGE] [--rounds N]`: makes small images in a temporary folder and
scans them with an untrained Meso-4 of 64 px.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import page

ROOT = Path(__file__).parents[1]
SIDE, PER_FOLDER = 64, 1000
TEXT = """Generated JPEGs of {side} px, judged by an untrained Meso-4 of that size, measured from the start of the
process to its end. Memory is that of the scan and its decoders (PSS), sampled four times a second. Scans of unchanged
folders are medians of {rounds} rounds, compared with `os.scandir` and one stat per file.

{scans}

{starts}"""


def make(folder: Path, count: int) -> None:
    """Write `count` JPEGs of noise, no two alike."""
    import cv2
    import numpy as np

    chance = np.random.default_rng(1)
    for n in range(count):
        (folder / f"{n // PER_FOLDER:04d}").mkdir(parents=True, exist_ok=True)
        noise = cv2.resize(chance.integers(0, 256, (8, 8, 3), np.uint8), (SIDE, SIDE))
        (folder / path_of(n)).write_bytes(cv2.imencode(".jpg", noise)[1].tobytes())


def make_model(folder: Path) -> None:
    """Write an untrained Meso-4."""
    from fauxscan import detectors, models
    from fauxscan.models import ModelCard, TrainedOn
    from fauxscan.records import Recipe, View

    network = detectors.build("meso4", {"size": SIDE})
    card = ModelCard(
        name="meso4", detector="meso4", options={"size": SIDE}, input_size=SIDE, looks_at=View.FACE, faces=None,
        recipe=Recipe(), trained_on=TrainedOn(dataset="", faces="whole", split_digest="", proof_of_machinery=True),
        figures={}, licence="", model_digest=models.digest(network),
    )  # fmt: skip
    models.save(folder, network, card)


def make_untrained(home: Path) -> None:
    """Write an untrained Meso-4 below `home`, and have it exported once."""
    code = f"import scan_scale, pathlib; scan_scale.make_model(pathlib.Path({str(home / 'meso4')!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)
    make(home / "in1", 1)
    run(scan_of(home, 1))


def resident(pid: int) -> int:
    """Return the bytes that a process and its children hold, shared ones counted once (PSS)."""
    pids, found = [pid], 0
    for one in pids:
        try:
            found += sum(
                int(line.split()[1]) * 1024
                for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
                if line.startswith("Pss:")
            )
            for task in Path(f"/proc/{one}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
        except OSError:  # it has ended
            continue
    return found


def run(arguments: list[str], watch: bool = True) -> tuple[float, int]:
    """Return the seconds that `fauxscan` took, from its start, and the most memory that it held."""
    code = "from fauxscan.cli import main; main()"
    start, most, done = time.perf_counter(), [0], threading.Event()
    with subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL) as child:
        while child.poll() is None:
            if watch:
                most.append(resident(child.pid))
            done.wait(0.25 if watch else 0.01)
    if child.returncode != 0:
        raise SystemExit(f"fauxscan {' '.join(arguments)} ended with {child.returncode}")
    return time.perf_counter() - start, max(most)


def walked(folder: Path) -> float:
    """Return the seconds that a bare walk takes: os.scandir and one stat a file."""
    start, waiting = time.perf_counter(), [folder]
    while waiting:
        with os.scandir(waiting.pop()) as names:
            for name in names:
                if name.is_dir(follow_symlinks=False):
                    waiting.append(Path(name.path))
                else:
                    name.stat(follow_symlinks=False)
    return time.perf_counter() - start


def imported(arguments: list[str]) -> list[str]:
    """Return which heavy packages a command imports."""
    code = (
        "import sys; from fauxscan.cli import run; run(sys.argv[1:]);"
        "print(*sorted({'tensorflow', 'keras', 'openvino', 'scipy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()[-1].split()


def scans(home: Path, count: int, rounds: int) -> list[object]:
    """Return a row: a first scan of so many files, and scans of the unchanged folder."""
    folder = home / f"in{count}"
    make(folder, count)
    first, most = run(scan_of(home, count))
    again = statistics.median(run(scan_of(home, count), watch=False)[0] for _ in range(rounds))
    bare = statistics.median(walked(folder) for _ in range(rounds))
    most_again = run(scan_of(home, count))[1]
    sizes = [f"{size / 2**20:.0f}" for size in (most, most_again)]
    print(count, first, sizes, again, bare, flush=True)
    return [f"{count:,}", f"{first:.0f}", sizes[0], f"{again:.1f}", f"{again / bare:.1f}", sizes[1]]


def scan_of(home: Path, count: int) -> list[str]:
    """Return the command that scans so many files."""
    folders = ["scan", str(home / f"in{count}"), "--results", str(home / f"out{count}")]
    return [*folders, "--models", str(home / "meso4"), "--faces", "whole"]


def starts(home: Path, count: int, rounds: int) -> list[list[object]]:
    """Return a row for each command that should start at once."""
    commands = {
        "fauxscan --help": ["--help"],
        f"fauxscan latest, {count:,} files": ["latest", "--format", "csv", "--results", str(home / f"out{count}")],
        f"a scan of {count:,} unchanged files": scan_of(home, count),
    }
    python = statistics.median(seconds([sys.executable, "-c", "import typer, pyarrow.parquet"]) for _ in range(rounds))
    rows = []
    for name, arguments in commands.items():
        took = statistics.median(run(arguments, watch=False)[0] for _ in range(rounds))
        rows.append([name, f"{took:.2f}", f"{took / python:.1f}", ", ".join(imported(arguments)) or "none"])
    return rows


def seconds(command: list[str]) -> float:
    """Return how long a command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def path_of(number: int) -> str:
    """Return the name of a generated file."""
    return f"{number // PER_FOLDER:04d}/{number:07d}.jpg"


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        make_untrained(home)
        rows = [scans(home, count, given.rounds) for count in given.counts]
        small = starts(home, given.counts[0], given.rounds)
    head = ["files", "first scan, s", "most memory, MiB", "unchanged, s", "relative to a bare walk", "most memory, MiB"]
    starting = [
        "command",
        "seconds",
        "relative to importing typer and pyarrow",
        "imports of TensorFlow, Keras, OpenVINO, SciPy",
    ]
    body = TEXT.format(side=SIDE, rounds=given.rounds, scans=page.table(head, rows), starts=page.table(starting, small))
    page.write("Scans at scale", " ".join(["python", "benchmarks/scan_scale.py", *sys.argv[1:]]), body)


if __name__ == "__main__":
    main()
