"""Put the named arrays of a backbone into its Keras tower, for whatever needs gradients or a GPU."""

from typing import Any

from fauxscan.backbones.graph import EMBEDDINGS, LAYERS, PRE
from fauxscan.backbones.onnx_arrays import Arrays, floats
from fauxscan.records import UserError
from fauxscan.weights import assign

BLOCK = {  # a layer in a block of ours -> that of CLIP
    "before_attention": "layer_norm1",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "attended": "self_attn.out_proj",
    "before_dense": "layer_norm2",
    "wide": "mlp.fc1",
    "narrow": "mlp.fc2",
}
PARTS = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}


def load_into(tower: Any, arrays: Arrays) -> None:
    """Put the arrays into the tower. Raise UserError, with the tower unchanged, if one is missing or does not fit."""
    fillings = []
    for variable in tower.weights:
        name = _name(variable.path.split("/"))
        if name is None:
            continue  # the mean and deviation of pixels, which are set already
        if name not in arrays:
            raise UserError(f"the weights lack {name}: they are those of another network")
        array = floats(arrays[name])
        if name.endswith("patch_embedding.weight"):
            array = array.transpose(2, 3, 1, 0)  # torch has (out, in, height, width)
        assign.check_shape(name, array.shape, variable)
        fillings.append((variable, array))
    assign.fill(fillings)


def _name(path: list[str]) -> str | None:
    """Return the name of the array for the variable at a path in the tower, None for one that has none."""
    layer, part = path[0], path[-1]
    if layer == "patches":
        return f"{EMBEDDINGS}patch_embedding.weight"
    if layer == "tokens":
        return f"{EMBEDDINGS}{'class_embedding' if part == 'token' else 'position_embedding.weight'}"
    if layer == "normalisation":
        return f"{PRE}.{PARTS[part]}"
    if not layer.startswith("block_"):
        return None
    _, number, own = layer.split("_", 2)
    return f"{LAYERS}{number}.{BLOCK[own]}.{PARTS[part]}"
