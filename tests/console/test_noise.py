"""Standard error: noise of libraries is dropped, their errors and our own lines are not."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from support.preparing import picture, save
from support.scanning import write_evaluations, write_params

from fauxscan import detectors

NOISY = """
import os, sys
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
os.write(2, b"I0000 00:00:1795939613.796993   23007 port.cc:153] oneDNN custom operations are on.\\n")
os.write(2, b"2026-11-29 08:00:00.123456: W tensorflow/core/x.cc:1] slow\\n")
os.write(2, b"E0000 00:00:1795939613.79 7 cuda_fft.cc:467] Unable to register cuFFT factory\\n")
os.write(2, b"E0000 00:00:1795939613.79 7 disk.cc:1] Input/output error\\n")
os.write(2, b"ours, \\xff: not UTF-8\\n")
import logging, warnings
warnings.warn("a warning of a library")
logging.getLogger("tensorflow").warning("a warning in its log")
sys.stderr.write("a line of Python\\n")
if "crash" in sys.argv:
    os.write(2, b"F0000 00:00:1795939613.79 7 cpu_feature_guard.cc:1] this processor has no AVX\\n")
    os.abort()
"""
IMPORTS_IT = """
import importlib
from fauxscan import cli
cli.run = lambda: importlib.import_module("tensorflow") and 0
cli.main()
"""


@pytest.mark.parametrize("ending", ["well", "crash"])
def test_noise_of_tensorflow_is_dropped_and_errors_are_not(tmp_path: Path, ending: str) -> None:
    (tmp_path / "tensorflow.py").write_text(NOISY)
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS_IT, ending],
        capture_output=True, check=False, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    errors = [b"E0000 00:00:1795939613.79 7 disk.cc:1] Input/output error", b"ours, \xff: not UTF-8"]
    if ending == "crash":
        errors.append(b"F0000 00:00:1795939613.79 7 cpu_feature_guard.cc:1] this processor has no AVX")
    shown = done.stderr.splitlines()
    shown.remove(b"a line of Python")  # which does not pass through the filter
    assert shown == errors
    assert done.returncode == (0 if ending == "well" else -signal.SIGABRT)


OURS = re.compile(
    r"Parameters: |(faces|shards): \d+ of \d+ |Extracted \d+ |epoch \d+: |Every verdict of \S+ is |Scanned \d+ of \d+ |"
    r"\S+: kept$"
)


@pytest.mark.slow
def test_standard_error_has_our_own_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.src.legacy.saving import legacy_h5_format

    monkeypatch.chdir(tmp_path)
    write_params(tmp_path / "params.yaml")  # the engine is TensorFlow
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in range(60):
        made = "made" if number % 2 else "camera"
        save(tmp_path / "faces" / made / f"{number}.jpg", picture(number, 48) // 2 + (110 if number % 2 else 0))
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, detectors.build("meso4", {"size": 32}, 1))
    write_evaluations(tmp_path, {"m": "a" * 64})
    classes = ["--label", "camera=real", "--label", "made=gan"]
    network = ["--detector", "meso4", "--size", "32", "--batch-size", "16", "--no-augmentation", "--epochs", "2"]
    for command in (
        ["train", "faces", *network, "--real", "camera", "--fake", "made", "--out", "m", "--on-shortcut", "warn"],
        ["predict", "m", "faces"],
        ["scan", "faces", "--results", "r", "--models", "m", "--faces", "whole"],  # with TensorFlow
        ["audit", "faces", *classes],
        ["results", "--reports", "reports"],
        ["import-weights", "weights.h5", "--detector", "meso4", "--out", "w", "--fake-is", "0", "--option", "size=32"],
    ):
        called = [sys.executable, "-c", "from fauxscan.cli import main; main()", *command]
        done = subprocess.run(called, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 2), done.stderr
        assert not [line for line in done.stderr.splitlines() if not OURS.match(line)], done.stderr
