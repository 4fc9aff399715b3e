"""Weights from elsewhere: the published ones judge as published, the others are refused and nothing of them is run."""

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from conftest import ROOT
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan import cli, models
from fauxscan.media import pixels
from fauxscan.params import Params
from fauxscan.records import FAKE, REAL, UserError
from fauxscan.weights import filling, importing

TORCH = ROOT / "tests" / "golden" / "torch"
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


def package_model(activation: str, path: Path) -> keras.Model:
    """A whole model as the MesoNet package saves it: activations are layers, the output is a probability."""
    image = keras.Input((64, 64, 3))
    x = image
    for filters, kernel, pool in ((8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4)):
        x = keras.layers.Activation(activation)(keras.layers.Conv2D(filters, kernel, padding="same")(x))
        x = keras.layers.MaxPooling2D(pool, padding="same")(keras.layers.BatchNormalization()(x))
    x = keras.layers.LeakyReLU(negative_slope=0.1)(keras.layers.Dense(16)(keras.layers.Flatten()(x)))
    network = keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(x))
    for weight in network.weights:
        weight.assign(np.abs(weight + np.random.default_rng(1).normal(0, 0.1, weight.shape)))
    network.save(path)
    return network


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_whole_models_of_the_mesonet_package(tmp_path: Path, settings: Params, activation: str) -> None:
    theirs = package_model(activation, tmp_path / "whole.hdf5")
    options = {"size": 64, "activation": activation}
    importing.import_weights(tmp_path / "whole.hdf5", tmp_path / "m", "meso4", options, REAL, settings.faces)
    images = np.random.default_rng(2).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    expected = np.asarray(theirs(images / np.float32(255)))[:, 0]
    np.testing.assert_allclose(1 - p_fake(models.load(tmp_path / "m"), list(images)), expected, atol=1e-5)


def test_code_in_a_whole_model_is_never_run(tmp_path: Path, settings: Params) -> None:
    canary, file = tmp_path / "canary", tmp_path / "whole.h5"
    network = models.build("meso4", {"size": 64})
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
    spoil_soft_link: "by a link",
    spoil_external_link: "by a link",
    spoil_external_storage: "from another file",
    spoil_virtual: "from another file",
    spoil_text: "no array of floats",
    spoil_huge: r"bias has the shape \(1099511627776,\)",
    spoil_nan: "no numbers",
    spoil_names: "names no layers",
    spoil_order: "holds moving_variance, moving_mean, beta, gamma",
    spoil_link_up: "missing or points elsewhere",
}


@pytest.fixture(scope="module")
def tiny() -> keras.Model:
    """The network that the weight files here belong to."""
    return models.build("meso4", {"size": 64})


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
    importing.into(tiny, good_file)
    before = models.digest(tiny)
    bad = shutil.copy(good_file, tmp_path / "bad.h5")
    with h5py.File(bad, "r+") as file:
        spoil(file)
    with pytest.raises(UserError, match=rf"bad\.h5: .*{SPOILS[spoil]}"):
        importing.into(tiny, bad)
    assert models.digest(tiny) == before


@pytest.mark.parametrize("kept", [20, 700, 5000, -1])
def test_truncated_files_are_refused(tmp_path: Path, tiny: keras.Model, good_file: Path, kept: int) -> None:
    for whole in (good_file, TORCH / "old.pth", TORCH / "checkpoint.pth"):
        (tmp_path / "cut").write_bytes(whole.read_bytes()[: kept if kept < whole.stat().st_size else -1])
        with pytest.raises(UserError, match=r"cut: it (is|cannot)"):
            importing.into(tiny, tmp_path / "cut")


# === PyTorch ===


def small_network(outputs: int = 1, head: str = "fc") -> keras.Model:
    """The network of tests/golden/torch/make.py in Keras."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="_conv_stem")(image)
    x = keras.layers.BatchNormalization(epsilon=1e-5, name="_bn0")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="blocks_0_0")(x)
    x = keras.layers.BatchNormalization(epsilon=1e-5, name="blocks_0_1")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(outputs, name=head)(x))


@pytest.mark.parametrize("file", ["checkpoint.pth", "old.pth"])
def test_state_dicts_that_torch_wrote_give_its_logits(file: str) -> None:
    golden = json.loads((TORCH / "logits.json").read_text())
    network = small_network()
    importing.into(network, TORCH / file)
    logits = np.asarray(network(np.asarray(golden["pictures"], np.float32) / 255))[:, 0]
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-5)


def test_a_trunk_leaves_the_dense_layers_as_they_are() -> None:
    whole, trunk = small_network(), small_network(outputs=3, head="other")
    importing.into(whole, TORCH / "old.pth")
    before = [weight.numpy() for weight in trunk.layers[-1].weights]
    importing.into(trunk, TORCH / "old.pth", trunk=True)
    for ours, same in zip(trunk.layers[:-1], whole.layers[:-1], strict=True):
        for array, expected in zip(ours.get_weights(), same.get_weights(), strict=True):
            np.testing.assert_array_equal(array, expected)
    for weight, array in zip(trunk.layers[-1].weights, before, strict=True):
        np.testing.assert_array_equal(weight, array)


def test_a_trunk_of_a_keras_file(tiny: keras.Model, good_file: Path) -> None:
    filled = models.build("meso4", {"size": 64}, seed=1)
    before = filled.layers[-1].get_weights()[0]
    importing.into(filled, good_file, trunk=True)
    np.testing.assert_array_equal(filled.layers[2].get_weights()[0], tiny.layers[2].get_weights()[0])
    np.testing.assert_array_equal(filled.layers[-1].get_weights()[0], before)


def test_names_that_do_not_match_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks other\.bias, other\.weight and has, unused, fc\.bias, fc\.weight"):
        importing.into(small_network(head="other"), TORCH / "old.pth")
    with pytest.raises(UserError, match=r"fc\.weight has the shape \(4, 1\), and fc/kernel .* takes \(4, 2\)"):
        importing.into(small_network(outputs=2), TORCH / "old.pth")


PROTO, STOP = b"\x80\x02", pickle.STOP
DEEP = b")" + b"\x85" * 200_000  # a tuple in a tuple in a tuple …


def plain(value: Any) -> bytes:
    """Opcodes of a value of Python's own."""
    return pickle.dumps(value, 2)[2:-1]


def name(module: str, what: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{what}\n".encode()


def storage(
    key: Any = "0", count: Any = 4, kind: bytes = name("torch", "FloatStorage"), word: str = "storage"
) -> bytes:
    return b"(" + plain(word) + kind + plain(key) + plain("cpu") + plain(count) + b"t" + pickle.BINPERSID


def tensor(at: bytes = storage(), offset: Any = 0, size: Any = (4,), stride: Any = (1,)) -> bytes:
    arguments = b"(" + at + plain(offset) + plain(size) + plain(stride) + plain(False) + plain(()) + b"t"
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + pickle.REDUCE


def state(value: bytes, key: bytes = plain("bias")) -> bytes:
    """A pickle with a dictionary of one entry."""
    return PROTO + pickle.EMPTY_DICT + key + value + pickle.SETITEM + STOP


def zipped(path: Path, pickled: bytes, numbers: bytes = bytes(16), compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", numbers)
        archive.writestr("../escaped", b"x")
    return path


def old(path: Path, pickled: bytes) -> Path:
    parts = [pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2), pickle.dumps({"little_endian": True}, 2)]
    path.write_bytes(b"".join(parts) + pickled + pickle.dumps(["0"], 2) + (4).to_bytes(8, "little") + bytes(16))
    return path


def one_bias() -> keras.Model:
    """A network with one layer, `out`, that the well-formed pickles here fit."""
    image = keras.Input((4,))
    return keras.Model(image, keras.layers.Dense(4, name="out")(image))


def write_canary(canary: Path) -> dict[str, bytes]:
    """Pickles that write a file when they are unpickled, each by another way."""
    command = plain((f"touch {canary}",))
    return {
        "reduce": state(name("posix", "system") + command + pickle.REDUCE),
        "reduce of protocol 4": b"\x80\x04" + plain("posix") + plain("system") + b"\x93" + command + b"R" + STOP,
        "inst": PROTO + b"(" + plain(f"touch {canary}") + b"iposix\nsystem\n" + STOP,
        "obj": PROTO + b"(" + name("posix", "system") + plain(f"touch {canary}") + b"o" + STOP,
        "hidden in a tensor": state(tensor(at=name("posix", "system") + command + pickle.REDUCE)),
    }


@pytest.mark.parametrize("way", write_canary(Path()))
@pytest.mark.parametrize("write", [zipped, old])
def test_code_in_a_pickle_is_refused_and_never_run(
    tmp_path: Path, way: str, write: Callable[[Path, bytes], object]
) -> None:
    canary = tmp_path / "canary"
    pickled = write_canary(canary)[way]
    if "tensor" not in way:
        pickle.loads(pickled)
        assert canary.exists(), "Python itself runs it: the trap works"
        canary.unlink()
    write(tmp_path / "bad.pth", pickled)
    with pytest.raises(UserError, match=r"bad\.pth: it is refused, and nothing of it was run"):
        importing.into(one_bias(), tmp_path / "bad.pth")
    assert not canary.exists()


HOSTILE = {
    "another object": state(name("torchvision.models.resnet", "ResNet") + plain(()) + pickle.REDUCE),
    "an allowed name with other arguments": state(name("collections", "OrderedDict") + plain(([1],)) + pickle.REDUCE),
    "a tensor without a storage": state(tensor(at=plain("0"))),
    "attributes for a name": state(name("torch._utils", "_rebuild_tensor_v2") + plain({"__code__": 1}) + b"b"),
    "a call of no name": state(plain("posix.system") + plain(("x",)) + pickle.REDUCE),
    "beyond its storage": state(tensor(size=(5,))),
    "by a stride": state(tensor(size=(2,), stride=(4,))),
    "by an offset": state(tensor(offset=1)),
    "an overflow": state(tensor(size=(1 << 62, 1 << 62), stride=(1 << 62, 1))),
    "a negative offset": state(tensor(offset=-1)),
    "a negative stride": state(tensor(stride=(-1,))),
    "a size that is no count": state(tensor(size=("4",))),
    "too many dimensions": state(tensor(size=(1,) * 99, stride=(1,) * 99)),
    "a storage out of the folder": state(tensor(at=storage(key="../../escaped"))),
    "a storage that is no text": state(tensor(at=storage(key=0))),
    "another type": state(tensor(at=storage(kind=name("torch", "QUInt8Storage")))),
    "a persistent id of another kind": state(tensor(at=storage(word="module"))),
    "a persistent id that is no tuple": state(plain(7) + pickle.BINPERSID),
    "one storage in two ways": state(tensor(at=storage(count=9) + b"0" + storage())),
    "a key nested deeply": state(plain(1), key=DEEP),
    "a value nested deeply": state(DEEP),
    "an endless loop's stack": PROTO + pickle.EMPTY_LIST * 600_000 + STOP,
    "a huge memo": PROTO + plain(1) + pickle.LONG_BINPUT + b"\xff\xff\xff\xff" + STOP,
    "an empty stack": PROTO + STOP,
    "a mark that is missing": PROTO + pickle.SETITEMS + STOP,
    "a memo that is missing": PROTO + pickle.BINGET + b"\x07" + STOP,
    "a list as a dictionary": PROTO + pickle.EMPTY_LIST + plain("a") + plain(1) + pickle.SETITEM + STOP,
    "no tensors": state(plain(1)),
    "two state dicts": PROTO + pickle.EMPTY_DICT + b"(" + plain("a") + state(tensor())[2:-1] + plain("b")
    + state(tensor())[2:-1] + pickle.SETITEMS + STOP,
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("write", [zipped, old])
def test_hostile_pickles_are_refused(tmp_path: Path, what: str, write: Callable[[Path, bytes], Path]) -> None:
    with pytest.raises(UserError, match="it is refused, and nothing of it was run"):
        importing.into(one_bias(), write(tmp_path / "bad.pth", HOSTILE[what]))


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    good = state(tensor(), plain("out.bias"))
    with pytest.raises(UserError, match=r"lacks out\.weight"):
        importing.into(one_bias(), zipped(tmp_path / "good", good))
    with pytest.raises(UserError, match="compressed"):
        importing.into(one_bias(), zipped(tmp_path / "bomb", good, bytes(16), zipfile.ZIP_DEFLATED))
    both = b"(" + plain("out.bias") + tensor() + plain("out.weight") + tensor(size=(4, 4), stride=(0, 1)) + b"u"
    whole = PROTO + pickle.EMPTY_DICT + both + STOP
    importing.into(one_bias(), zipped(tmp_path / "whole", whole))
    with pytest.raises(UserError, match="not as long as its tensors say"):
        importing.into(one_bias(), zipped(tmp_path / "long", whole, bytes(1 << 20)))
    with pytest.raises(UserError, match="no numbers"):
        importing.into(one_bias(), zipped(tmp_path / "nan", whole, b"\xff" * 16))


def test_other_files_are_refused(tmp_path: Path, settings: Params) -> None:
    (tmp_path / "text.h5").write_text("weights")
    pickled = tmp_path / "list.pth"
    pickled.write_bytes(pickle.dumps([1, 2]))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme", "x")
    network = models.build("meso4", {"size": 64})
    network.save(tmp_path / "model.keras")
    network.save_weights(tmp_path / "model.weights.h5")
    said = {
        "text.h5": "neither a Keras 2 weight file",
        "list.pth": "nor a state dict of PyTorch",
        "a.zip": "without the one data.pkl",
        "model.keras": "give its folder to --models",
        "model.weights.h5": "of Keras 3 is not taken",
        "none.h5": "there is no file",
    }
    for file, words in said.items():
        with pytest.raises(UserError, match=words):
            importing.import_weights(tmp_path / file, tmp_path / "m", "meso4", {"size": 64}, FAKE, settings.faces)
    assert not (tmp_path / "m").exists()


# === The command ===


def run(*arguments: object) -> int:
    return cli.run(["import-weights", *map(str, arguments), "--params", str(ROOT / "params.yaml")])


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
        ("--detector", "meso4", "--option", "size", *into): "is not of the form NAME=VALUE",
        ("--detector", "resnet_9000", *into): "unknown detector 'resnet_9000'",
        ("--detector", "meso4", "--out", out): "--fake-is",
    }
    for arguments, words in said.items():
        assert run(weights, *arguments) == 3
        assert words in capsys.readouterr().err
    assert not out.exists()


def test_turning_negates_the_logit_alone() -> None:
    network = models.build("meso4", {"size": 64})
    network.layers[-1].bias.assign([0.7])
    images = np.random.default_rng(2).integers(0, 256, (3, 64, 64, 3)).astype(np.float32)
    before = np.asarray(network(images))
    filling.turn(network)
    np.testing.assert_array_equal(np.asarray(network(images)), -before)
