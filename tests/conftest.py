"""What tests share: the real data's folder, the committed parameters, photographs, a web server."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from loopback import Server
from numpy.typing import NDArray

from fauxscan import params

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real archives; in CI it must be there."""
    named = os.environ.get("FAUXSCAN_TEST_DATA")
    if not named:
        if os.environ.get("CI"):
            pytest.fail("FAUXSCAN_TEST_DATA is not set: in CI the tests on real data must run")
        pytest.skip("FAUXSCAN_TEST_DATA names no folder with real data")
    return Path(named)


@pytest.fixture(scope="session")
def settings() -> params.Params:
    """The parameters as committed."""
    return params.load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def photograph() -> NDArray[np.uint8]:
    """A portrait, RGB (512, 512, 3)."""
    from skimage import data

    return np.asarray(data.astronaut(), np.uint8)


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server whose pages the test writes."""
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=[0.01], daemon=True).start()
        yield running
        running.shutdown()
