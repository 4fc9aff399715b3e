"""State dicts of PyTorch: its own files give its logits, without it; hostile ones are refused and never run."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support import ROOT

from fauxscan import detectors
from fauxscan.records import UserError
from fauxscan.weights import loading

TORCH = ROOT / "tests" / "golden" / "torch"


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
    loading.load_into(network, TORCH / file)
    logits = np.asarray(network(np.asarray(golden["pictures"], np.float32) / 255))[:, 0]
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-5)


def test_a_trunk_leaves_the_dense_layers_as_they_are() -> None:
    whole, trunk = small_network(), small_network(outputs=3, head="other")
    loading.load_into(whole, TORCH / "old.pth")
    before = [weight.numpy() for weight in trunk.layers[-1].weights]
    loading.load_into(trunk, TORCH / "old.pth", trunk=True)
    for ours, same in zip(trunk.layers[:-1], whole.layers[:-1], strict=True):
        for array, expected in zip(ours.get_weights(), same.get_weights(), strict=True):
            np.testing.assert_array_equal(array, expected)
    for weight, array in zip(trunk.layers[-1].weights, before, strict=True):
        np.testing.assert_array_equal(weight, array)


def test_names_that_do_not_match_are_told() -> None:
    with pytest.raises(UserError, match=r"lacks other\.bias, other\.weight and has, unused, fc\.bias, fc\.weight"):
        loading.load_into(small_network(head="other"), TORCH / "old.pth")
    with pytest.raises(UserError, match=r"fc\.weight has the shape \(4, 1\), and fc/kernel .* takes \(4, 2\)"):
        loading.load_into(small_network(outputs=2), TORCH / "old.pth")


PROTO, STOP = b"\x80\x02", pickle.STOP
DEEP = b")" + b"\x85" * 100_000  # a tuple in a tuple in a tuple …


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
        loading.load_into(one_bias(), tmp_path / "bad.pth")
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
    "an endless loop's stack": PROTO + pickle.EMPTY_LIST * 300_000 + STOP,
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
        loading.load_into(one_bias(), write(tmp_path / "bad.pth", HOSTILE[what]))


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    good = state(tensor(), plain("out.bias"))
    with pytest.raises(UserError, match=r"lacks out\.weight"):
        loading.load_into(one_bias(), zipped(tmp_path / "good", good))
    with pytest.raises(UserError, match="compressed"):
        loading.load_into(one_bias(), zipped(tmp_path / "bomb", good, bytes(16), zipfile.ZIP_DEFLATED))
    both = b"(" + plain("out.bias") + tensor() + plain("out.weight") + tensor(size=(4, 4), stride=(0, 1)) + b"u"
    whole = PROTO + pickle.EMPTY_DICT + both + STOP
    loading.load_into(one_bias(), zipped(tmp_path / "whole", whole))
    with pytest.raises(UserError, match="not as long as its tensors say"):
        loading.load_into(one_bias(), zipped(tmp_path / "long", whole, bytes(1 << 20)))
    with pytest.raises(UserError, match="not numbers"):
        loading.load_into(one_bias(), zipped(tmp_path / "nan", whole, b"\xff" * 16))


@pytest.mark.parametrize("kept", [20, 700, 2500, -1])
@pytest.mark.parametrize("file", ["checkpoint.pth", "old.pth"])
def test_truncated_state_dicts_are_refused(tmp_path: Path, file: str, kept: int) -> None:
    (tmp_path / "cut.pth").write_bytes((TORCH / file).read_bytes()[:kept])
    with pytest.raises(UserError, match=r"cut\.pth: it is damaged"):
        loading.load_into(small_network(), tmp_path / "cut.pth")


def test_changed_numbers_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(TORCH / "checkpoint.pth") as archive:
        info = archive.getinfo("checkpoint/data/0")
    whole = bytearray((TORCH / "checkpoint.pth").read_bytes())
    whole[info.header_offset + 200] ^= 0xFF
    (tmp_path / "bad.pth").write_bytes(whole)
    with pytest.raises(UserError, match="Bad CRC-32"):
        loading.load_into(small_network(), tmp_path / "bad.pth")


# === An independent ResNet-50 ===


@pytest.fixture
def torch() -> Any:
    """PyTorch, which the pipeline never needs and whose usual build brings gigabytes: nothing installs it."""
    try:
        import torch as found
    except ImportError:
        pytest.skip("PyTorch is not installed: `pip install torch==2.13.0` (a build for the CPU will do) to run this")
    return found


def random_state(torch: Any) -> dict[str, Any]:
    """A state dict in torchvision's layout of ResNet-50 with one output, random in every array."""
    generator = torch.Generator().manual_seed(3)
    state: dict[str, Any] = {}

    def add(conv: str, norm: str, filters: int, channels: int, kernel: int) -> None:
        shape = (filters, channels, kernel, kernel)
        state[f"{conv}.weight"] = torch.randn(shape, generator=generator) * (2 / (channels * kernel**2)) ** 0.5
        for name, low, high in (
            ("weight", 0.5, 1),
            ("bias", -0.2, 0.2),
            ("running_mean", -0.2, 0.2),
            ("running_var", 0.5, 2),
        ):
            state[f"{norm}.{name}"] = low + (high - low) * torch.rand(filters, generator=generator)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    add("conv1", "bn1", 64, 3, 7)
    channels = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            add(f"{at}.conv1", f"{at}.bn1", width, channels, 1)
            add(f"{at}.conv2", f"{at}.bn2", width, width, 3)
            add(f"{at}.conv3", f"{at}.bn3", 4 * width, width, 1)
            if block == 0:
                add(f"{at}.downsample.0", f"{at}.downsample.1", 4 * width, channels, 1)
            channels = 4 * width
    state["fc.weight"] = torch.randn((1, 2048), generator=generator) / 2048**0.5
    state["fc.bias"] = torch.randn(1, generator=generator)
    return state


def resnet50(torch: Any, state: dict[str, Any], x: Any) -> Any:
    """The logits of images (n, 3, 224, 224): torchvision's forward pass, the stride in the 3x3 convolution."""
    functional = torch.nn.functional

    def step(x: Any, conv: str, norm: str, stride: int = 1) -> Any:
        kernel = state[f"{conv}.weight"]
        x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        arrays = [state[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(x, *arrays)

    x = functional.max_pool2d(step(x, "conv1", "bn1", 2).relu(), 3, 2, 1)
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = step(x, f"{at}.conv1", f"{at}.bn1").relu()
            y = step(y, f"{at}.conv2", f"{at}.bn2", stride).relu()
            y = step(y, f"{at}.conv3", f"{at}.bn3")
            x = step(x, f"{at}.downsample.0", f"{at}.downsample.1", stride) if block == 0 else x
            x = (x + y).relu()
    return functional.linear(x.mean((2, 3)), state["fc.weight"], state["fc.bias"])


@pytest.mark.slow
@pytest.mark.parametrize("in_zip", [True, False])
def test_a_resnet50_of_torch_agrees_with_ours_at_the_logit(torch: Any, tmp_path: Path, in_zip: bool) -> None:
    state = random_state(torch)
    checkpoint = {"model": state, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]}, "total_steps": 3}
    torch.save(checkpoint, tmp_path / "w.pth", _use_new_zipfile_serialization=in_zip)
    network = detectors.build("resnet50", {"size": 224})
    loading.load_into(network, tmp_path / "w.pth")
    images = np.random.default_rng(4).integers(0, 256, (4, 224, 224, 3)).astype(np.float32)
    images[2:] *= np.linspace(0, 1, 224, dtype=np.float32)[:, None]
    mean, deviation = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    scaled = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / deviation
    expected = resnet50(torch, state, scaled).numpy()
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(np.asarray(network(images)), expected, atol=1e-4)
