"""Weights from elsewhere: the published ones judge as published, the others are refused and nothing of them is run."""

import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from support import ROOT

from fauxscan import cli, detectors, models
from fauxscan.media.images import pixels
from fauxscan.params import Params
from fauxscan.records import FAKE, REAL, UserError
from fauxscan.weights import assign, importing, loading

PICTURES = ("df/df00204.jpg", "df/df01254.jpg", "real/real00240.jpg", "real/real00772.jpg")
PUBLISHED = [0.04, 0.05, 0.99, 1.00]  # P(real), as the README of the test data says of Meso4_DF
Floats = NDArray[np.float32]


@pytest.fixture(scope="session")
def mesonet(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the published weights and test images."""
    folder = tmp_path_factory.mktemp("mesonet")
    with zipfile.ZipFile(real_data / "mesonet_weights" / "mesonet_weights.zip") as archive:
        archive.extractall(folder)
    return folder


def picture(file: Path) -> NDArray[np.uint8]:
    return np.asarray(Pillow.open(file).convert("RGB"))


def nearest(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resized as Keras 2 loads images."""
    return np.asarray(Pillow.fromarray(image).resize((256, 256), Pillow.Resampling.NEAREST))


def p_fake(model: models.Model, images: list[NDArray[np.uint8]]) -> Floats:
    return np.asarray(1 / (1 + np.exp(-model.scorer(4)(np.stack(images)))), np.float32)


def imported(file: Path, out: Path, settings: Params, detector: str = "meso4", fake_is: int = REAL) -> models.Model:
    importing.import_weights(file, out, detector, {}, fake_is, settings.faces)
    return models.load(out)


# === Keras 2 ===


def test_published_weights_judge_the_test_images_as_published(mesonet: Path, tmp_path: Path, settings: Params) -> None:
    model = imported(mesonet / "weights" / "Meso4_DF.h5", tmp_path / "m", settings)
    images = [picture(mesonet / "test_images" / name) for name in PICTURES]
    as_published = 1 - p_fake(model, [nearest(image) for image in images])
    np.testing.assert_allclose(as_published, PUBLISHED, atol=0.005)
    ours = 1 - p_fake(model, [pixels.resize(image, 256) for image in images])
    np.testing.assert_allclose(ours, PUBLISHED, atol=0.03)  # area and bilinear instead of nearest


def test_published_inception_weights_separate_the_test_images(mesonet: Path, tmp_path: Path, settings: Params) -> None:
    file = mesonet / "weights" / "MesoInception_DF.h5"
    model = imported(file, tmp_path / "m", settings, "mesoinception4")
    found = p_fake(model, [pixels.resize(picture(mesonet / "test_images" / name), 256) for name in PICTURES])
    assert found[:2].min() > 0.97 and found[2:].max() < 0.01


@pytest.mark.parametrize("which", ["DF", "F2F"])
@pytest.mark.parametrize(("detector", "file"), [("meso4", "Meso4"), ("mesoinception4", "MesoInception")])
def test_imported_networks_equal_the_published_ones_in_numpy(
    mesonet: Path, tmp_path: Path, settings: Params, detector: str, file: str, which: str
) -> None:
    weights = mesonet / "weights" / f"{file}_{which}.h5"
    image = pixels.resize(picture(mesonet / "test_images" / PICTURES[0]), 256)
    expected = Plain(weights).logit_of_real(image / np.float32(255))
    logit = imported(weights, tmp_path / "m", settings, detector).scorer(1)(image[None])[0]
    assert logit == pytest.approx(-expected, abs=1e-4)


class Plain:
    """The two MesoNets written out in NumPy, their layers found by the order in which the authors made them."""

    def __init__(self, file: Path) -> None:
        self.layers: dict[str, list[list[Floats]]] = {"conv2d": [], "batch_normalization": [], "dense": []}
        with h5py.File(file) as groups:
            for name in sorted(groups, key=lambda name: int(name.rpartition("_")[2])):
                weights = [groups[name][w][()] for w in groups[name].attrs["weight_names"]]
                self.layers.setdefault(name.rpartition("_")[0], []).append(weights)

    def logit_of_real(self, x: Floats) -> float:
        """Return the logit of P(real) for an image in 0..1."""
        inceptions = (len(self.layers["conv2d"]) - 2) // 7 if len(self.layers["conv2d"]) > 4 else 0
        for pool in (2, 2, 2, 4)[:inceptions]:
            x = self._pooled(
                np.concatenate([self._conv(x), *(self._conv(self._conv(x), d) for d in (1, 2, 3))], -1), pool
            )
        for pool in (2, 2, 2, 4)[inceptions:]:
            x = self._pooled(self._conv(x), pool)
        (kernel, bias), (last, shift) = self.layers["dense"]
        hidden = x.reshape(-1) @ kernel + bias
        return float(np.where(hidden > 0, hidden, 0.1 * hidden) @ last[:, 0] + shift[0])

    def _conv(self, x: Floats, dilation: int = 1) -> Floats:
        kernel, bias = self.layers["conv2d"].pop(0)
        reach = dilation * (len(kernel) // 2)
        padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
        height, width = x.shape[:2]
        out = np.zeros((height, width, kernel.shape[3]), np.float32)
        for i, j in np.ndindex(*kernel.shape[:2]):
            out += padded[i * dilation :][:height, j * dilation :][:, :width] @ kernel[i, j]
        return np.maximum(out + bias, 0)

    def _pooled(self, x: Floats, pool: int) -> Floats:
        gamma, beta, mean, variance = self.layers["batch_normalization"].pop(0)
        x = gamma * (x - mean) / np.sqrt(variance + np.float32(1e-3)) + beta
        height, width, channels = x.shape
        return x.reshape(height // pool, pool, width // pool, pool, channels).max((1, 3))


LAYERS: dict[str, Callable[[], keras.Layer]] = {
    "relu": keras.layers.ReLU,
    "elu": keras.layers.ELU,
    "leaky_relu": lambda: keras.layers.LeakyReLU(negative_slope=0.3),  # Keras 2's default
    "less leaky": lambda: keras.layers.LeakyReLU(negative_slope=0.2),
}


def package_model(activation: str, path: Path) -> keras.Model:
    """A whole model as the MesoNet package saves it: activations are layers, the output is a probability."""
    image = keras.Input((64, 64, 3))
    x = image
    for filters, kernel, pool in ((8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4)):
        x = LAYERS[activation]()(keras.layers.Conv2D(filters, kernel, padding="same")(x))
        x = keras.layers.MaxPooling2D(pool, padding="same")(keras.layers.BatchNormalization()(x))
    x = keras.layers.LeakyReLU(negative_slope=0.1)(keras.layers.Dense(16)(keras.layers.Flatten()(x)))
    network = keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(x))
    for weight in network.weights:
        if weight.name != "moving_variance":
            weight.assign(weight + np.random.default_rng(1).normal(0, 0.02, weight.shape))
    network.save(path)
    with h5py.File(path, "r+") as file:  # the slope's name in Keras 2
        file.attrs["model_config"] = file.attrs["model_config"].replace('"negative_slope": ', '"alpha": ')
    return network


GIVEN: dict[str, object] = {"less leaky": {"leaky_relu": 0.2}}  # else by the layer's name


@pytest.mark.parametrize("activation", LAYERS)
def test_whole_models_of_the_mesonet_package(tmp_path: Path, settings: Params, activation: str) -> None:
    theirs = package_model(activation, tmp_path / "whole.hdf5")
    options = {"size": 64, "activation": GIVEN.get(activation, activation)}
    importing.import_weights(tmp_path / "whole.hdf5", tmp_path / "m", "meso4", options, REAL, settings.faces)
    images = np.random.default_rng(2).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    expected = np.asarray(theirs(images / np.float32(255)))[:, 0]
    assert expected.min() > 0.01 and expected.max() < 0.99 and np.ptp(expected) > 0.001
    np.testing.assert_allclose(1 - p_fake(models.load(tmp_path / "m"), list(images)), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("activation", LAYERS)
def test_a_whole_model_is_refused_with_other_activations(tmp_path: Path, settings: Params, activation: str) -> None:
    package_model(activation, tmp_path / "whole.hdf5")
    for other in set(LAYERS) - {activation}:
        options = {"size": 64, "activation": GIVEN.get(other, other)}
        with pytest.raises(UserError, match=r"wrong activation: .* \(4\).*, and this detector"):
            importing.import_weights(tmp_path / "whole.hdf5", tmp_path / "m", "meso4", options, REAL, settings.faces)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("config", ["{", "[1]", "{}", '{"class_name": "Model", "config": 3}', "[" * 100_000])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, settings: Params, config: str) -> None:
    package_model("relu", tmp_path / "whole.hdf5")
    with h5py.File(tmp_path / "whole.hdf5", "r+") as file:
        file.attrs["model_config"] = config[:60_000]
    with pytest.raises(UserError, match="its configuration cannot be read"):
        importing.import_weights(tmp_path / "whole.hdf5", tmp_path / "m", "meso4", {"size": 64}, REAL, settings.faces)


def test_code_in_a_whole_model_is_never_run(tmp_path: Path, settings: Params) -> None:
    canary, file = tmp_path / "canary", tmp_path / "whole.h5"
    network = detectors.build("meso4", {"size": 64})
    hostile = keras.layers.Lambda(eval(f"lambda x: (open({str(canary)!r}, 'w').close(), x)[1]"))(network.output)
    keras.Model(network.input, hostile).save(file)
    canary.unlink()
    keras.saving.load_model(file, safe_mode=False)
    assert canary.exists(), "Keras itself runs it: the trap works"
    canary.unlink()
    importing.import_weights(file, tmp_path / "m", "meso4", {"size": 64}, FAKE, settings.faces)
    models.load(tmp_path / "m")
    assert not canary.exists()


def spoil_soft_link(file: h5py.File) -> None:
    del file["dense/dense/kernel"]
    file["dense/dense/kernel"] = h5py.SoftLink("/conv2d/conv2d/kernel")


def spoil_external_link(file: h5py.File) -> None:
    del file["dense"]
    file["dense"] = h5py.ExternalLink("other.h5", "/dense")


def spoil_external_storage(file: h5py.File) -> None:
    del file["logit/logit/bias"]
    file["logit/logit"].create_dataset("bias", (1,), "<f4", external=[("/etc/hostname", 0, 4)])


def spoil_virtual(file: h5py.File) -> None:
    del file["logit/logit/bias"]
    layout = h5py.VirtualLayout((1,), "<f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (1,))
    file["logit/logit"].create_virtual_dataset("bias", layout)


def spoil_text(file: h5py.File) -> None:
    del file["logit/logit/bias"]
    file["logit/logit"].create_dataset("bias", data=["posix.system"])


def spoil_huge(file: h5py.File) -> None:
    del file["logit/logit/bias"]
    file["logit/logit"].create_dataset("bias", (1 << 40,), "<f4", chunks=(1 << 20,), compression="gzip")


def spoil_nan(file: h5py.File) -> None:
    file["logit/logit/bias"][...] = np.nan


def spoil_names(file: h5py.File) -> None:
    del file.attrs["layer_names"]


def spoil_order(file: h5py.File) -> None:
    names = file["batch_normalization"].attrs["weight_names"]
    file["batch_normalization"].attrs["weight_names"] = names[::-1]


def spoil_link_up(file: h5py.File) -> None:
    file["logit"].attrs["weight_names"] = [b"../../etc/kernel", b"logit/bias"]


SPOILS = {
    spoil_soft_link: "a link to another place",
    spoil_external_link: "a link to another place",
    spoil_external_storage: "from another file",
    spoil_virtual: "from another file",
    spoil_text: "not an array of floats",
    spoil_huge: r"bias has the shape \(1099511627776,\)",
    spoil_nan: "not numbers",
    spoil_names: "names no layers",
    spoil_order: "holds moving_variance, moving_mean, beta, gamma",
    spoil_link_up: "missing, or a link",
}


@pytest.fixture(scope="module")
def tiny() -> keras.Model:
    """The network that the weight files here belong to."""
    return detectors.build("meso4", {"size": 64})


@pytest.fixture(scope="module")
def good_file(tiny: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras weight file, not a whole model."""
    path = tmp_path_factory.mktemp("weights") / "good.h5"
    tiny.save(path)
    with h5py.File(path, "r+") as file:
        for name in list(file["model_weights"]):
            file.move(f"model_weights/{name}", name)
        for name, value in file["model_weights"].attrs.items():
            file.attrs[name] = value
        del file["model_weights"]
    return path


@pytest.mark.parametrize("spoil", SPOILS)
def test_spoiled_weight_files_are_refused(
    tmp_path: Path, tiny: keras.Model, good_file: Path, spoil: Callable[[h5py.File], None]
) -> None:
    loading.load_into(tiny, good_file)
    before = models.digest(tiny)
    bad = shutil.copy(good_file, tmp_path / "bad.h5")
    with h5py.File(bad, "r+") as file:
        spoil(file)
    with pytest.raises(UserError, match=rf"bad\.h5: .*{SPOILS[spoil]}"):
        loading.load_into(tiny, bad)
    assert models.digest(tiny) == before


@pytest.mark.parametrize("kept", [20, 700, 5000, -1])
def test_truncated_files_are_refused(tmp_path: Path, tiny: keras.Model, good_file: Path, kept: int) -> None:
    (tmp_path / "cut").write_bytes(good_file.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"cut: it (is|cannot)"):
        loading.load_into(tiny, tmp_path / "cut")


def test_a_trunk_of_a_keras_file(tiny: keras.Model, good_file: Path) -> None:
    filled = detectors.build("meso4", {"size": 64}, seed=1)
    before = filled.layers[-1].get_weights()[0]
    loading.load_into(filled, good_file, trunk=True)
    np.testing.assert_array_equal(filled.layers[2].get_weights()[0], tiny.layers[2].get_weights()[0])
    np.testing.assert_array_equal(filled.layers[-1].get_weights()[0], before)


@pytest.mark.slow
def test_other_files_are_refused(tmp_path: Path, settings: Params) -> None:
    (tmp_path / "text.h5").write_text("weights")
    pickled = tmp_path / "list.pth"
    pickled.write_bytes(pickle.dumps([1, 2]))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme", "x")
    network = detectors.build("meso4", {"size": 64})
    network.save(tmp_path / "model.keras")
    network.save_weights(tmp_path / "model.weights.h5")
    said = {
        "text.h5": "neither a Keras 2 weight file",
        "list.pth": "nor a PyTorch state dict",
        "a.zip": "without the one data.pkl",
        "model.keras": "name its folder with --models",
        "model.weights.h5": "of Keras 3 cannot be imported",
        "none.h5": "there is no file",
    }
    for file, words in said.items():
        with pytest.raises(UserError, match=words):
            importing.import_weights(tmp_path / file, tmp_path / "m", "meso4", {"size": 64}, FAKE, settings.faces)
    assert not (tmp_path / "m").exists()


# === The command ===


def run(*arguments: object) -> int:
    return cli.run(["import-weights", *map(str, arguments), "--params", str(ROOT / "params.yaml")])


@pytest.mark.slow
def test_the_command_writes_a_model_that_checks_and_scans(
    mesonet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, out = mesonet / "weights" / "Meso4_DF.h5", tmp_path / "models" / "meso4-df"
    command = [weights, "--detector", "meso4", "--fake-is", 0, "--licence", "Apache-2.0", "--out", out]
    assert run(*command) == 0
    assert "every verdict is `uncertain`" in capsys.readouterr().out
    card = models.read_card(out)
    assert (card.name, card.licence, card.trained_on.dataset, card.calibration) == (
        "meso4-df",
        "Apache-2.0",
        "elsewhere",
        None,
    )
    assert card.origin and card.origin.sha256.startswith("036ed30d") and card.origin.fake_is == REAL
    files, using = (
        [mesonet / "test_images" / name for name in PICTURES],
        ["--models", out, "--params", ROOT / "params.yaml"],
    )
    assert cli.run([*map(str, ["check", *files, "--faces", "whole", *using])]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [float(line.split()[2]) > 0.5 for line in lines] == [True, True, False, False]
    assert all(line.split()[1] == "uncertain" and "not calibrated" in line for line in lines)
    assert cli.run([*map(str, ["scan", mesonet / "test_images", "--results", tmp_path / "r", *using])]) == 0
    assert run(*command) == 3  # it is there already


def test_the_command_tells_what_is_wrong(mesonet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, out = mesonet / "weights" / "Meso4_DF.h5", tmp_path / "m"
    into = ["--out", out, "--fake-is", 0]
    said = {
        ("--detector", "mesoinception4", *into): "the file has 10 layers with weights, this detector 22",
        ("--detector", "meso4", "--option", "size=128", *into): "dense_3/kernel:0 has the shape (1024, 16)",
        ("--detector", "meso4", "--option", "sise=128", *into): "does not take the options {'sise': 128}",
        ("--detector", "meso4", "--option", "size", *into): "does not have the form NAME=VALUE",
        ("--detector", "resnet_9000", *into): "unknown detector 'resnet_9000'",
        ("--detector", "meso4", "--out", out): "--fake-is",
    }
    for arguments, words in said.items():
        assert run(weights, *arguments) == 3
        assert words in capsys.readouterr().err
    assert not out.exists()


def test_turning_negates_the_logit_alone() -> None:
    network = detectors.build("meso4", {"size": 64})
    network.layers[-1].bias.assign([0.7])
    images = np.random.default_rng(2).integers(0, 256, (3, 64, 64, 3)).astype(np.float32)
    before = np.asarray(network(images))
    assign.negate_output(network)
    np.testing.assert_array_equal(np.asarray(network(images)), -before)
