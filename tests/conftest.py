"""Fixtures for all tests: real data, the committed parameters, a photograph, a random generator, a web server."""

import os
import shutil
import tempfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from support import ROOT, TESTS
from support.loopback import Server

from fauxscan import params
from fauxscan.shipped import sets

if TYPE_CHECKING:
    from support.scanned import Scanned


def pytest_configure(config: pytest.Config) -> None:
    """Let the processes that tests start import `support`, and let no test read the configuration of the developer."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="fauxscan-tests-")
    config.add_cleanup(lambda: shutil.rmtree(os.environ["XDG_CONFIG_HOME"], ignore_errors=True))


@pytest.fixture(scope="session", autouse=True)
def no_shipped_sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the model sets of the package in this process: no test depends on which ones there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sets, "SHIPPED", tmp_path_factory.mktemp("shipped"))
        yield


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> "Scanned":
    """Return a folder that was scanned twice, and its results. Tests that change either work on a copy."""
    from support.scanned import scan_twice  # which loads decoders

    return scan_twice(tmp_path_factory.mktemp("scanned"))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Return a random generator seeded by the test's name, so that it does not depend on what ran before."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder with real archives. In CI it must exist."""
    named = os.environ.get("FAUXSCAN_TEST_DATA")
    if not named:
        if os.environ.get("CI"):
            pytest.fail("FAUXSCAN_TEST_DATA is not set: in CI the tests on real data must run")
        pytest.skip("FAUXSCAN_TEST_DATA names no folder with real data")
    return Path(named)


@pytest.fixture(scope="session")
def settings() -> params.Params:
    """Return the committed parameters."""
    return params.load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def photograph() -> NDArray[np.uint8]:
    """Return a portrait, RGB, shape (512, 512, 3)."""
    from skimage import data

    return np.asarray(data.astronaut(), np.uint8)


@pytest.fixture
def server() -> Iterator[Server]:
    """Yield a running web server whose pages the test defines."""
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=[0.01], daemon=True).start()
        yield running
        running.shutdown()
