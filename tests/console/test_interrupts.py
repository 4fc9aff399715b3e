"""Ctrl-C is answered before the command has stopped, also while C code holds the interpreter."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BUSY = """
import importlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from fauxscan import cli
def run():
    try:
        importlib.import_module(sys.argv[1])
    except KeyboardInterrupt:
        print("handled", flush=True)
        input()  # an orderly stop that takes as long as the test likes
        return 130
cli.run = run
cli.main()
"""
PAUSE = """
import signal, sys
print("busy", flush=True)
while True:
    signal.pause()
"""
HOLD = """
import collections, itertools
print("busy", flush=True)
collections.deque(itertools.repeat(None, 300_000_000), 0)  # a second or more in C, in which Python runs no handlers
"""


@pytest.mark.parametrize(
    ("module", "code"),
    [("waiting", PAUSE), ("tensorflow", PAUSE), ("tensorflow", HOLD)],
    ids=["without TensorFlow", "with TensorFlow", "while it is imported"],
)
def test_ctrl_c_is_answered_before_the_command_has_stopped(tmp_path: Path, module: str, code: str) -> None:
    (tmp_path / f"{module}.py").write_text(code)
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, module], env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stdout and running.stderr and running.stdout.readline() == "busy\n"
        running.send_signal(signal.SIGINT)
        assert running.stderr.readline() == "fauxscan: stopping ...\n"
        if code == HOLD:
            assert not select.select([running.stdout], [], [], 0)[0]  # Python has not handled the signal yet
        assert running.stdout.readline() == "handled\n"
        _, rest = running.communicate("\n\n")
    assert (running.returncode, rest) == (130, "")


@pytest.mark.parametrize("module", ["waiting", "tensorflow"])
def test_a_command_that_ends_by_itself_says_nothing(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").touch()
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", BUSY, module]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
