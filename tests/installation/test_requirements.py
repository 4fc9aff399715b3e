"""Another system than Linux is refused in one sentence, by the command and in Python; a missing extra is named."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fauxscan
from fauxscan import params, workshop
from fauxscan.installation.requirements import checked_installation

SENTENCE = r"^fauxscan runs on Linux only, not on darwin: use a Linux machine, a Linux container, or, on Windows, WSL$"
NOWHERE = Path("nowhere")
HEAVY: dict[str, Callable[[], Any]] = {
    "Detector": lambda: fauxscan.Detector("nowhere"),
    "check": lambda: fauxscan.check("nowhere", "nowhere"),
    "scan": lambda: fauxscan.scan("nowhere", "nowhere", "nowhere"),
    "train": lambda: workshop.train(NOWHERE, {}, NOWHERE, "meso4", params.Params()),
    "predict": lambda: workshop.predict(NOWHERE, NOWHERE, params.Params()),
}


@pytest.mark.parametrize("name", HEAVY)
def test_functions_refuse_another_system_before_anything_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(fauxscan.UserError) as here:  # on Linux, it is the arguments that are wrong
        HEAVY[name]()
    assert not isinstance(here.value, fauxscan.PlatformError)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(fauxscan.PlatformError, match=SENTENCE):
        HEAVY[name]()


@pytest.mark.parametrize("arguments", [["--help"], ["scan", "nowhere", "--results", "nowhere"]], ids=" ".join)
def test_the_command_refuses_another_system_in_one_line(arguments: list[str]) -> None:
    # Windows has no module `resource`: the command must be imported without it before it can refuse.
    code = "import sys; sys.modules['resource'] = None; from fauxscan import cli; sys.platform = 'darwin'; cli.main()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    sentence = SENTENCE.strip("^$")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"fauxscan: {sentence}\n")


def test_a_module_that_belongs_to_no_extra_stays_the_error_that_it_was() -> None:
    with pytest.raises(ModuleNotFoundError) as caught, checked_installation():
        raise ModuleNotFoundError("No module named 'colours'", name="colours")
    assert not isinstance(caught.value, fauxscan.UserError)


def test_blocks_may_be_nested() -> None:
    with (
        pytest.raises(fauxscan.MissingExtraError, match=r'^the package keras .*: pip install "fauxscan\[train\]"$'),
        checked_installation(),
        checked_installation(),
    ):
        raise ModuleNotFoundError("No module named 'keras'", name="keras.layers")
