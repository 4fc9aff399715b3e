"""A vision transformer in OpenVINO, made of its named arrays: no deep learning framework is needed to build it."""

from typing import Any

import numpy as np

from fauxscan.backbones.onnx_arrays import Arrays, Rounded
from fauxscan.records import BackboneCard, ModelError

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the pixels that CLIP was trained on, in 0..1
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
EPSILON = 1e-5  # under the root in a normalisation
STEEPNESS = 1.702  # of CLIP's activation x * sigmoid(1.702 x)
EMBEDDINGS, LAYERS = "vision_model.embeddings.", "vision_model.encoder.layers."
PRE = "vision_model.pre_layrnorm"  # spelt so by its authors


def build(arrays: Arrays, card: BackboneCard) -> Any:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> class token after each block (batch, blocks, width).

    Raise ModelError if an array is missing or has another shape than the card says.
    """
    import openvino
    from openvino import opset15 as ops

    image = ops.parameter([-1, card.input_size, card.input_size, 3], np.float32, "image")
    try:
        tokens = Tower(arrays, card).tokens(image)
    except KeyError as error:
        raise ModelError(f"the weights of {card.name} lack {error}: they are those of another network") from error
    except RuntimeError as error:
        raise ModelError(f"the weights of {card.name} are those of another network: {str(error).strip()}") from error
    return openvino.Model([ops.concat(tokens, 1)], [image], card.name)


class Tower:
    """The layers of one transformer (Dosovitskiy et al. 2021, with CLIP's normalisation before the first block)."""

    def __init__(self, arrays: Arrays, card: BackboneCard) -> None:
        from openvino import opset15

        self._arrays, self._card, self._ops = arrays, card, opset15

    def tokens(self, image: Any) -> list[Any]:
        """Return the class token after each block, each (batch, 1, width)."""
        ops, found = self._ops, list[Any]()
        x = self._normalised(self._embedded(image), PRE)
        for number in range(self._card.blocks):
            x = self._block(x, f"{LAYERS}{number}.")
            found.append(ops.gather(x, ops.constant([0]), ops.constant(1)))
        return found

    def _embedded(self, image: Any) -> Any:
        """Return the class token and one for each patch, with their places added: (batch, tokens, width)."""
        ops, card = self._ops, self._card
        scaled = ops.divide(ops.subtract(image, _of(np.multiply(MEAN, 255))), _of(np.multiply(DEVIATION, 255)))
        kernel = self._array(f"{EMBEDDINGS}patch_embedding.weight")
        stride = [card.patch, card.patch]
        x = ops.convolution(ops.transpose(scaled, ops.constant([0, 3, 1, 2])), kernel, stride, [0, 0], [0, 0], [1, 1])
        x = ops.transpose(ops.reshape(x, ops.constant([0, card.width, -1]), True), ops.constant([0, 2, 1]))
        batch = ops.gather(ops.shape_of(x), ops.constant([0]), ops.constant(0))
        shape = ops.concat([batch, ops.constant([1, card.width])], 0)
        x = ops.concat([ops.broadcast(self._array(f"{EMBEDDINGS}class_embedding"), shape), x], 1)
        return ops.add(x, self._array(f"{EMBEDDINGS}position_embedding.weight"))

    def _block(self, x: Any, name: str) -> Any:
        """Return x after attention and two dense layers, each on a normalised copy and added."""
        ops = self._ops
        x = ops.add(x, self._attention(self._normalised(x, f"{name}layer_norm1"), f"{name}self_attn."))
        y = self._dense(self._normalised(x, f"{name}layer_norm2"), f"{name}mlp.fc1")
        return ops.add(x, self._dense(ops.swish(y, ops.constant(np.float32(STEEPNESS))), f"{name}mlp.fc2"))

    def _attention(self, x: Any, name: str) -> Any:
        ops, card = self._ops, self._card
        side = card.width // card.heads
        turned = ops.constant([0, 2, 1, 3])
        shape = ops.constant([0, 0, -1, side])
        q, k, v = (
            ops.transpose(ops.reshape(self._dense(x, f"{name}{one}_proj"), shape, True), turned) for one in "qkv"
        )
        weights = ops.softmax(ops.multiply(ops.matmul(q, k, False, True), _of(side**-0.5)), 3)
        found = ops.transpose(ops.matmul(weights, v, False, False), turned)
        return self._dense(ops.reshape(found, ops.constant([0, 0, card.width]), True), f"{name}out_proj")

    def _normalised(self, x: Any, name: str) -> Any:
        ops = self._ops
        y = ops.mvn(x, ops.constant([2]), True, EPSILON, "inside_sqrt")
        return ops.add(ops.multiply(y, self._array(f"{name}.weight")), self._array(f"{name}.bias"))

    def _dense(self, x: Any, name: str) -> Any:
        return self._ops.add(
            self._ops.matmul(x, self._array(f"{name}.weight"), False, False), self._array(f"{name}.bias")
        )

    def _array(self, name: str) -> Any:
        array, ops = self._arrays[name], self._ops
        if isinstance(array, Rounded):  # kept in 8 bits: a quarter of the file, and the very same numbers
            return ops.multiply(ops.convert(ops.constant(array.whole), "f32"), _of(array.scale))
        return _of(array)


def _of(values: Any) -> Any:
    """Return a constant of the network."""
    from openvino import opset15

    return opset15.constant(np.ascontiguousarray(values, np.float32))
