"""The contract of every detector found in the folder, and of the model folder it is saved to."""

import ast
import importlib
import inspect
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.fft import dctn
from support import ROOT

from fauxscan import detectors, layers, models
from fauxscan.media.images import codec as images
from fauxscan.media.images import pixels
from fauxscan.models import ModelCard, TrainedOn
from fauxscan.params import Params
from fauxscan.records import Recipe, UserError, View
from fauxscan.weights import loading

NAMES = detectors.names()
LARGE = {"clip_vit_b16", "efficientnet_lite0", "inception_v3", "resnet50", "xception"}  # seconds each to build
BUILT = [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in NAMES]
BLIND_TO_BRIGHTNESS = {"residual_statistics"}  # it looks at differences of pixels alone
SMALL = 96  # pixels: the least that all take is 75
GOLDEN = ROOT / "tests" / "golden"


def pictures(size: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def card_of(name: str, network: keras.Model, settings: Params) -> ModelCard:
    card = detectors.get(name).CARD
    return ModelCard(
        name=name, detector=name, options={}, input_size=network.input_shape[1], looks_at=card.looks_at,
        faces=settings.faces if card.looks_at is View.FACE else None, recipe=card.recipe,
        trained_on=TrainedOn(dataset="demo", faces="both", split_digest="0", proof_of_machinery=True),
        figures={}, licence="none", model_digest=models.digest(network),
    )  # fmt: skip


@pytest.fixture(scope="module", params=BUILT)
def small(request: pytest.FixtureRequest) -> tuple[str, keras.Model]:
    """Each detector, built once at a small size."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    return request.param, detectors.get(request.param).build(size=SMALL)


def everything_in(network: keras.Model) -> Iterator[keras.Layer]:
    """All layers, those of a trunk too."""
    for layer in network.layers:
        yield from everything_in(layer) if isinstance(layer, keras.Model) else (layer,)


def trainable(network: keras.Model) -> int:
    return sum(math.prod(weight.shape) for weight in network.trainable_weights)


# === The contract of each ===


@pytest.mark.parametrize("name", NAMES)
def test_card_and_network_agree(name: str) -> None:
    module = detectors.get(name)
    network = module.build()
    size = module.CARD.input_size
    assert module.CARD.name == name == network.name and isinstance(module.CARD.recipe, Recipe)
    assert network.input_shape == (None, size, size, 3)
    assert network.output_shape == (None, 1)
    assert trainable(network) == module.CARD.parameters


@pytest.mark.parametrize("name", NAMES)
def test_published_weights_have_a_sum_a_place_and_a_licence(name: str) -> None:
    card = detectors.get(name).CARD
    assert (card.weights is None) == (card.weights_licence is None)
    if card.weights:
        sha256, md5 = card.weights.sha256 or "", card.weights.md5 or ""
        assert re.fullmatch("[0-9a-f]{8,64}", sha256) or re.fullmatch("[0-9a-f]{32}", md5)
        assert (card.weights.address or "").startswith("https://") or "==" in (card.weights.package or "")


@pytest.mark.parametrize(("name", "function"), [("inception_v3", "InceptionV3"), ("xception", "Xception")])
def test_kerass_own_weights_are_named_as_keras_names_them(name: str, function: str) -> None:
    theirs = importlib.import_module(f"keras.src.applications.{name}")
    weights = detectors.get(name).CARD.weights
    assert weights.address == theirs.WEIGHTS_PATH_NO_TOP
    assert re.search(rf'{weights.name}",[^)]*"{weights.md5}"', inspect.getsource(getattr(theirs, function)))


def test_only_registered_layers_and_a_logit_in_float32(small: tuple[str, keras.Model]) -> None:
    _, network = small
    for layer in everything_in(network):
        assert not isinstance(layer, keras.layers.Lambda)
        registered = keras.saving.get_registered_name(type(layer))
        assert registered.startswith("fauxscan>") or type(layer).__module__.startswith("keras."), layer
    head = network.layers[-1]
    assert isinstance(head, keras.layers.Dense) and head.compute_dtype == "float32"
    assert head.activation is keras.activations.linear


def test_each_trainable_weight_has_a_gradient(small: tuple[str, keras.Model]) -> None:
    import tensorflow as tf

    _, network = small
    before = network.get_weights()
    with tf.GradientTape() as tape:
        logits = network(pictures(SMALL).astype(np.float32), training=True)
        loss = keras.losses.binary_crossentropy([[0.0], [1.0]], logits, from_logits=True)
    assert logits.shape == (2, 1) and np.isfinite(logits.numpy()).all()
    gradients = tape.gradient(loss, [weight.value for weight in network.trainable_weights])
    network.set_weights(before)  # training=True moved the statistics of batches, and other tests use this network
    for weight, gradient in zip(network.trainable_weights, gradients, strict=True):
        assert gradient is not None and np.isfinite(np.asarray(gradient)).all(), weight.path


def test_what_is_saved_and_loaded_gives_the_same(
    small: tuple[str, keras.Model], tmp_path: Path, settings: Params
) -> None:
    name, network = small
    models.save(tmp_path, network, card_of(name, network, settings))
    loaded = models.load(tmp_path)
    seen = pictures(SMALL).astype(np.float32)
    once, again = network(seen, training=False), loaded.network(seen, training=False)
    np.testing.assert_array_equal(np.asarray(once), np.asarray(again))
    assert loaded.card.model_digest == models.digest(loaded.network)
    assert trainable(loaded.network) == trainable(network), "what was frozen stays so"


def test_only_networks_with_a_dct_or_counts_need_full_precision(small: tuple[str, keras.Model]) -> None:
    name, network = small
    assert models.needs_full_precision(network) is (name in {"dct_cnn", "cross_domain", "residual_statistics"})


def test_the_digest_names_layers_where_they_once_lay() -> None:
    """A model with a crop that an earlier revision trained keeps its digest, though the layer has moved."""
    network = detectors.build("resnet50", {"size": 96, "crop": 64}, seed=3)
    (crop,) = (layer for layer in network.get_config()["layers"] if layer["registered_name"] == "fauxscan>Crop")
    assert crop["module"] == "fauxscan.layers"
    frozen = models._frozen(network.get_config())
    assert [layer["module"] for layer in frozen["layers"] if layer["name"] == crop["name"]] == [
        "fauxscan.detectors.resnet50"
    ]


@pytest.mark.slow
def test_a_model_is_loaded_without_its_detectors_file() -> None:
    code = (
        "import sys; from pathlib import Path; from fauxscan import models;"
        f"models.load(Path({str(GOLDEN / 'model')!r}));"
        "print([name for name in sys.modules if name.startswith('fauxscan.detectors')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_black_and_white_are_finite(small: tuple[str, keras.Model]) -> None:
    name, network = small
    shape = (SMALL, SMALL, 3)
    flat = np.stack([np.zeros(shape), np.full(shape, 255.0)]).astype(np.float32)
    logits = np.asarray(network(flat, training=False))
    assert np.isfinite(logits).all()
    assert (logits[0, 0] == logits[1, 0]) == (name in BLIND_TO_BRIGHTNESS)


@pytest.mark.parametrize("name", BUILT)
def test_half_precision_leaves_the_logit_in_float32(name: str) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = detectors.get(name).build(size=SMALL)
        logits = network(pictures(SMALL).astype(np.float32), training=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.dtype == "float32" and np.isfinite(np.asarray(logits)).all()
    assert any(layer.compute_dtype == "float16" for layer in everything_in(network))


@pytest.mark.parametrize("file", ["layers.py", *(f"detectors/{name}.py" for name in NAMES)])
def test_no_network_names_a_backend(file: str) -> None:
    """Arithmetic is keras.ops alone: all of them give these logits on PyTorch too (docs/detectors.md)."""
    tree = ast.parse((ROOT / "src" / "fauxscan" / file).read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {module.split(".")[0] for module in named} & {"tensorflow", "torch", "jax"}
    assert not any(module.startswith("keras.src") for module in named)


# === What each is there for ===


def test_meso4_is_as_small_as_its_paper_says() -> None:
    assert trainable(detectors.get("meso4").build(size=256)) == 27_977


@pytest.mark.parametrize("name", ["meso4", "mesoinception4"])
def test_the_mesonets_take_any_activation_and_size(name: str) -> None:
    for activation, size in (("relu", 299), ("elu", 224)):
        network = detectors.get(name).build(size=size, activation=activation)
        found = {
            keras.activations.serialize(layer.activation) for layer in everything_in(network) if is_convolution(layer)
        }
        assert found == {activation}
        assert np.isfinite(np.asarray(network(pictures(size).astype(np.float32)))).all()


@pytest.mark.parametrize("name", ["meso4", "mesoinception4", "cross_domain"])
@pytest.mark.parametrize(("activation", "slope"), [("leaky_relu", 0.3), ({"leaky_relu": 0.05}, 0.05)])
def test_leaky_relu_has_its_slope_after_loading_too(
    tmp_path: Path, settings: Params, name: str, activation: layers.Activation, slope: float
) -> None:
    network = detectors.build(name, {"size": 64, "activation": activation})
    models.save(tmp_path, network, card_of(name, network, settings))
    loaded = models.load(tmp_path).network
    below = np.linspace(-2, 0, 5, dtype=np.float32)
    of_spectrum = 4 if name == "cross_domain" else 0  # its convolutions keep ReLU
    for each in (network, loaded):
        found = [np.asarray(layer.activation(below)) for layer in everything_in(each) if is_convolution(layer)]
        leaky = [values for values in found if values.any()]
        assert len(leaky) == len(found) - of_spectrum >= 4
        np.testing.assert_allclose(leaky, np.tile(slope * below, (len(leaky), 1)), rtol=1e-6)
    seen = pictures(64).astype(np.float32)
    np.testing.assert_array_equal(*(np.asarray(each(seen, training=False)) for each in (network, loaded)))


@pytest.mark.parametrize("wrong", [{"elu": 1.0}, {"leaky_relu": 0.1, "elu": 1.0}, "leeky_relu", {}])
def test_an_unknown_activation_is_refused(wrong: object) -> None:
    with pytest.raises(UserError, match="meso4 does not take the options"):
        detectors.build("meso4", {"size": 64, "activation": wrong})


def is_convolution(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.Conv2D)


@pytest.mark.slow
def test_inception_v3_trains_above_its_ninetieth_layer() -> None:
    network = detectors.get("inception_v3").build(size=SMALL)
    trunk = network.get_layer("trunk").layers
    assert not any(layer.trainable for layer in trunk[:90]) and all(layer.trainable for layer in trunk[90:])
    trained = {weight.path for weight in network.trainable_weights}
    assert not trained & {weight.path for layer in trunk[:90] for weight in layer.weights}
    assert moved(network, trunk[:90]) == 0 and moved(network, trunk[90:]) == 1


def moved(network: keras.Model, of: list[keras.Layer]) -> float:
    """The share of the layers' averages (batch normalisation) that a look at training images changes."""
    averages = [w for layer in of for w in layer.weights if w.path.rsplit("/", 1)[-1].startswith("moving_")]
    before = [keras.ops.convert_to_numpy(weight) for weight in averages]
    network(pictures(SMALL).astype(np.float32), training=True)
    after = [keras.ops.convert_to_numpy(weight) for weight in averages]
    return float(np.mean([not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]))


@pytest.mark.slow
def test_xception_is_frozen_and_then_not() -> None:
    network = detectors.get("xception").build(size=SMALL)
    trunk = network.get_layer("trunk")
    assert moved(network, trunk.layers) == 0
    trunk.trainable = True  # what a phase that is `unfrozen` does
    assert trainable(network) > 20_000_000
    assert moved(network, trunk.layers) == 1
    assert trainable(detectors.get("xception").build(size=SMALL, frozen=False)) == trainable(network)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inception_v3", "xception"])
def test_a_trunk_takes_a_weight_file_as_keras_publishes_them(name: str, tmp_path: Path) -> None:
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    keras.utils.set_random_seed(5)
    given = getattr(keras.applications, {"inception_v3": "InceptionV3", "xception": "Xception"}[name])
    pretrained = given(include_top=False, weights=None, input_shape=(SMALL, SMALL, 3))
    with h5py.File(tmp_path / "notop.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, pretrained)
    network = detectors.get(name).build(size=SMALL)
    trunk = network.get_layer("trunk")
    seen = (pictures(SMALL) / 127.5 - 1).astype(np.float32)
    assert not np.allclose(trunk(seen, training=False), pretrained(seen, training=False))
    loading.load_into(network, tmp_path / "notop.h5", trunk=True)
    np.testing.assert_array_equal(trunk(seen, training=False), pretrained(seen, training=False))


def test_resnet50_is_torchvisions() -> None:
    network = detectors.get("resnet50").build(size=SMALL)
    expected = ["conv1", "bn1", "fc"]
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            parts = [f"{kind}{n}" for n in (1, 2, 3) for kind in ("conv", "bn")]
            parts += [] if block else ["downsample_0", "downsample_1"]
            expected += [f"layer{stage}_{block}_{part}" for part in parts]
    assert {layer.name for layer in network.layers if layer.weights} == set(expected)
    for stage, stride in ((1, 1), (2, 2), (3, 2), (4, 2)):
        first = [network.get_layer(f"layer{stage}_0_{part}").strides for part in ("conv1", "conv2", "downsample_0")]
        assert first == [(1, 1), (stride, stride), (stride, stride)]
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.epsilon, layer.momentum) == (1e-5, 0.9)
        assert not (is_convolution(layer) and (layer.padding == "same" or layer.use_bias))


@pytest.mark.slow
def test_resnet50_looks_at_the_middle_and_in_training_anywhere() -> None:
    import tensorflow as tf

    crop = next(layer for layer in detectors.get("resnet50").build().layers if type(layer).__name__ == "Crop")
    rows, columns = np.mgrid[:256, :256].astype(np.float32)
    where = np.repeat(np.stack([rows, columns, rows], -1)[None], 200, 0)  # each pixel says where it comes from
    middle = np.asarray(crop(where, training=False))
    np.testing.assert_array_equal(middle, where[:, 16:240, 16:240])
    cut = np.asarray(tf.function(crop)(where, training=True))  # as a graph, which is how fit() runs it
    starts = cut[:, 0, 0, :2]
    np.testing.assert_array_equal(cut - starts[:, None, None, [0, 1, 0]], where[:, :224, :224])
    assert starts.min() == 0 and starts.max() == 32
    assert abs(np.corrcoef(starts.T)[0, 1]) < 0.2 and starts.std() == pytest.approx(33 / 12**0.5, rel=0.1)


def test_efficientnet_lite0_has_the_names_of_its_published_weights() -> None:
    network = detectors.get("efficientnet_lite0").build(size=SMALL)
    names = [layer.name for layer in network.layers if layer.weights]
    assert names[:2] == ["_conv_stem", "_bn0"] and names[-3:] == ["_conv_head", "_bn1", "_fc"]
    block = ["expand_conv", "bn0", "depthwise_conv", "bn1", "project_conv", "bn2"]
    expected = [f"_blocks_{n}__{part}" for n in range(16) for part in (block if n else block[2:])]
    assert names[2:-3] == expected
    activations = {layer.max_value for layer in network.layers if isinstance(layer, keras.layers.ReLU)}
    assert activations == {6.0}


def test_cross_domain_augments_its_spatial_branch_alone_and_only_in_training() -> None:
    network = detectors.get("cross_domain").build(size=SMALL)
    spectrum = next(layer for layer in network.layers if isinstance(layer, layers.LogDct))
    turned = next(layer for layer in network.layers if isinstance(layer, layers.RandomQuarterTurn))
    both = keras.Model(network.input, [spectrum.output, turned.output])
    seen = pictures(SMALL, 32).astype(np.float32)
    frequencies, pixels = (np.asarray(output) for output in both(seen, training=False))
    np.testing.assert_array_equal(pixels, seen)
    draws = [[np.asarray(output) for output in both(seen, training=True)] for _ in range(2)]
    for drawn_frequencies, drawn_pixels in draws:
        np.testing.assert_array_equal(drawn_frequencies, frequencies)
        assert (np.abs(drawn_pixels - seen).mean((1, 2, 3)) > 1).all()
    assert (np.abs(draws[0][1] - draws[1][1]).mean((1, 2, 3)) > 1).all(), "drawn anew"


class Enough(keras.callbacks.Callback):
    """Stops once the loss has fallen far enough."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.losses = [*getattr(self, "losses", []), logs["loss"]]
        self.model.stop_training = self.losses[-1] < 0.5 * self.losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_on_two_hundred_images(name: str) -> None:
    """Reals against the same made small and large again and brighter."""
    keras.utils.set_random_seed(2)
    images, labels = learnable(200)
    options = {"frozen": False} if name == "xception" else {}  # its frozen trunk is there for ImageNet's weights
    network = detectors.get(name).build(size=SMALL, **options)
    network.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    enough = Enough()
    network.fit(images, labels, batch_size=20, epochs=15, verbose=0, callbacks=[enough])
    assert enough.losses[-1] < 0.5 * enough.losses[0], enough.losses


def learnable(count: int) -> tuple[np.ndarray, np.ndarray]:
    from skimage.transform import resize
    from support.preparing import picture

    reals = [picture(n, SMALL).astype(np.float32) * 0.8 for n in range(count // 2)]
    fakes = [resize(resize(image, (SMALL // 3,) * 2), (SMALL,) * 2) + 40 for image in reals]
    labels = np.repeat([0.0, 1.0], count // 2)[:, None].astype(np.float32)
    order = np.random.default_rng(0).permutation(count)
    return np.stack(reals + fakes)[order].astype(np.float32), labels[order]


# === Options, the model folder, the sense of a score ===


def test_options_change_the_network_and_unknown_ones_are_refused() -> None:

    small = detectors.build("meso4", {"size": 64, "activation": "elu"})
    assert small.input_shape == (None, 64, 64, 3)
    with pytest.raises(UserError, match="meso4 does not take the options"):
        detectors.build("meso4", {"colour": "red"})


def test_dct_layer_equals_scipy_and_stays_in_float32() -> None:
    image = np.random.default_rng(0).random((2, 32, 32, 3)).astype(np.float32)
    expected = np.abs(dctn(image, axes=(1, 2), norm="ortho"))
    np.testing.assert_allclose(np.exp(np.asarray(layers.LogDct()(image))), expected, rtol=1e-5, atol=1e-5)
    with_mixed = layers.LogDct(dtype="mixed_float16")
    assert with_mixed(image.astype(np.float16)).dtype == "float32"


def test_a_score_does_not_depend_on_its_batch(settings: Params) -> None:
    network = detectors.get("meso4").build(size=64)
    score = models.Model(card_of("meso4", network, settings), network).scorer(4)
    seen = pictures(64, 7)
    together = score(seen)
    alone = np.concatenate([score(seen[i : i + 1]) for i in range(7)])
    np.testing.assert_array_equal(together, alone)
    assert score(seen[:0]).shape == (0,)


def test_a_damaged_or_swapped_model_is_refused(tmp_path: Path, settings: Params) -> None:
    network = detectors.get("meso4").build(size=64)
    models.save(tmp_path, network, card_of("meso4", network, settings))
    network.layers[-1].set_weights([-w for w in network.layers[-1].get_weights()])  # the polarity, turned
    network.save(tmp_path / models.NETWORK)
    with pytest.raises(UserError, match="not the network that its card describes"):
        models.load(tmp_path)
    (tmp_path / models.NETWORK).write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match="cannot be loaded"):
        models.load(tmp_path)
    with pytest.raises(UserError, match="no model at"):
        models.load(tmp_path / "nowhere")


def test_label_sense_by_golden_files() -> None:
    """A committed model, trained to call up-sampled pictures fake, keeps its scores: p_fake means fake."""
    expected = json.loads((GOLDEN / "logits.json").read_text(encoding="utf-8"))
    model = models.load(GOLDEN / "model")
    score = model.scorer(2)
    for name, logit in expected.items():
        image = images.decode((GOLDEN / f"{name}.png").read_bytes(), "png", 1 << 20)
        found = float(score(pixels.resize(image, model.card.input_size)[None])[0])
        assert found == pytest.approx(logit, abs=1e-3), name
        assert (found > 0) == name.startswith("fake"), name
