"""A pytest plugin: two untrained models, written once for all tests that need real networks."""

from pathlib import Path

import pytest
from scanning_fixtures import save_model

from fauxscan.records import View


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the folders of a model that looks at faces and one that looks at whole images."""
    home = tmp_path_factory.mktemp("models")
    faces = save_model(home / "faces", "meso4", 1, View.FACE)
    return [faces, save_model(home / "wholes", "dct_cnn", 2, View.WHOLE)]
