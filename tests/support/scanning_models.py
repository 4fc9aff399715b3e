"""A pytest plugin: two untrained models for all tests that need real networks, and a cache for exported models."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fauxscan.records import View
from support.scanning import add_openvino_files, save_model


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep exported models out of the user's cache; return the folder that they are written to."""
    home = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the folders of two models, one for faces and one for whole images, without OpenVINO files."""
    home = tmp_path_factory.mktemp("models")
    faces = save_model(home / "faces", "meso4", 1, View.FACE)
    return [faces, save_model(home / "wholes", "dct_cnn", 2, View.WHOLE)]


@pytest.fixture(scope="session")
def exported_models(tmp_path_factory: pytest.TempPathFactory, tiny_models: list[Path]) -> list[Path]:
    """Return copies of `tiny_models` with OpenVINO files."""
    home = tmp_path_factory.mktemp("exported")
    return [add_openvino_files(shutil.copytree(folder, home / folder.name)) for folder in tiny_models]
