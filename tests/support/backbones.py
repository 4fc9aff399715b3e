"""A tiny vision transformer as an ONNX file, with weights rounded to 8 bits as in the published one."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fauxscan import disk
from fauxscan.backbones import cards, store
from fauxscan.records import Archive, BackboneCard

WIDTH, BLOCKS, SIDE, PATCH, HEADS = 32, 3, 32, 8, 4
NAME = "clip_encoder.int8.onnx"


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Return the float arrays by name. Kernels are (inputs, outputs)."""
    draw, found = np.random.default_rng(seed), {}
    found["vision_model.embeddings.class_embedding"] = draw.normal(0, 0.5, WIDTH)
    found["vision_model.embeddings.patch_embedding.weight"] = draw.normal(0, 0.1, (WIDTH, 3, PATCH, PATCH))
    found["vision_model.embeddings.position_embedding.weight"] = draw.normal(0, 0.5, ((SIDE // PATCH) ** 2 + 1, WIDTH))
    norms = ["vision_model.pre_layrnorm"]
    for number in range(BLOCKS):
        block = f"vision_model.encoder.layers.{number}"
        norms += [f"{block}.layer_norm1", f"{block}.layer_norm2"]
        shapes = {f"self_attn.{one}_proj": (WIDTH, WIDTH) for one in ("q", "k", "v", "out")}
        for name, shape in {**shapes, "mlp.fc1": (WIDTH, 4 * WIDTH), "mlp.fc2": (4 * WIDTH, WIDTH)}.items():
            found[f"{block}.{name}.weight"] = draw.normal(0, 0.2, shape)
            found[f"{block}.{name}.bias"] = draw.normal(0, 0.1, shape[1])
    for name in norms:
        found[f"{name}.weight"], found[f"{name}.bias"] = draw.normal(1, 0.1, WIDTH), draw.normal(0, 0.1, WIDTH)
    return {name: array.astype(np.float32) for name, array in found.items()}


def write_onnx(file: Path, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Write a graph that holds the arrays, its products in 8 bits; return the arrays as they are after rounding.

    Only the constants and the names of the products are those of the published file: nothing else of it is read.
    """
    nodes, constants, rounded = [], [], {}
    outputs = ["image"]
    for place, (name, array) in enumerate(values.items()):
        if not name.endswith("weight") or array.ndim != 2 or "embedding" in name:
            constants.append(numpy_helper.from_array(array, name))
            nodes.append(helper.make_node("ReduceSum", [name], [f"{name}:used"], keepdims=0))
            outputs.append(f"{name}:used")
            rounded[name] = array
            continue
        path, kernel = "/" + name.removesuffix(".weight").replace(".", "/").replace("layers/", "layers."), f"m{place}"
        scale = (np.abs(array).max(0) / 127).astype(np.float32)
        whole = np.rint(array / scale).astype(np.int8)
        rounded[name] = whole.astype(np.float32) * scale
        parts = {"quantized": whole, "zero_point": np.zeros(len(scale), np.int8), "scale": scale}
        constants += [numpy_helper.from_array(part, f"{kernel}_{end}") for end, part in parts.items()]
        constants.append(numpy_helper.from_array(np.ones((1, len(array)), np.float32), f"{kernel}_in"))
        x = [f"{kernel}_{end}" for end in ("x", "xs", "xz")]
        nodes.append(helper.make_node("DynamicQuantizeLinear", [f"{kernel}_in"], x))
        inputs = [x[0], f"{kernel}_quantized", x[2], f"{kernel}_zero_point"]
        nodes.append(helper.make_node("MatMulInteger", inputs, [f"{kernel}_y"], name=f"{path}/MatMul_quant"))
        nodes.append(helper.make_node("Cast", [f"{kernel}_y"], [f"{kernel}_f"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{kernel}_f", f"{kernel}_scale"], [f"{kernel}_s"]))
        nodes.append(helper.make_node("ReduceSum", [f"{kernel}_s"], [f"{kernel}:used"], keepdims=0))
        outputs.append(f"{kernel}:used")
    nodes.append(helper.make_node("Sum", outputs, ["out"]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph(nodes, "tiny", [image], [out], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    return rounded


def use(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a tiny backbone, which `home` keeps, in place of CLIP's."""
    if not (home / NAME).is_file():
        write_onnx(home / NAME, arrays())
    monkeypatch.setattr(cards, "get", lambda name: card_of(home / NAME))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    if not store.root().is_dir():
        store.fetch("clip", home / NAME)


def card_of(file: Path) -> BackboneCard:
    """Return the card of the tiny backbone in a file."""
    archive = Archive(NAME, package="tiny==1.0", sha256=disk.digest(file))
    return BackboneCard("clip", "a tiny tower", "none", archive, SIDE, PATCH, HEADS, BLOCKS, WIDTH)
