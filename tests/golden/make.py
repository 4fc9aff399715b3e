"""Make the golden files again: `python tests/golden/make.py`. Only after a change that is meant to change scores."""

import json
from pathlib import Path

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from fauxscan import detectors, models
from fauxscan.media.images import codec
from fauxscan.models import ModelCard, TrainedOn
from fauxscan.records import FAKE, REAL, View

HERE = Path(__file__).parent
SIZE = 32


def picture(seed: int, label: int) -> NDArray[np.uint8]:
    """Return smooth noise (SIZE, SIZE, 3); a fake went through nearest-neighbour up-sampling by four."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    how = cv2.INTER_NEAREST if label == FAKE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(coarse, (SIZE, SIZE), interpolation=how), np.uint8)


def main() -> None:
    """Train, and write the model, four pictures and their logits."""
    keras.utils.set_random_seed(0)
    labels = np.tile([REAL, FAKE], 300)
    seen = np.stack([picture(seed, label) for seed, label in enumerate(labels)]).astype(np.float32)
    network = detectors.get("meso4").build(size=SIZE)
    network.compile(keras.optimizers.Adam(0.005), keras.losses.BinaryCrossentropy(from_logits=True))
    network.fit(seen, labels[:, None].astype(np.float32), epochs=20, batch_size=20, verbose=2)
    keras.utils.clear_session()
    trained = detectors.get("meso4").build(size=SIZE)
    trained.set_weights(network.get_weights())
    card = detectors.get("meso4").CARD
    known = ModelCard(
        name="golden", detector="meso4", options={"size": SIZE}, input_size=SIZE, looks_at=View.FACE, faces=None,
        recipe=card.recipe, figures={}, licence="made here", model_digest=models.digest(trained),
        trained_on=TrainedOn(dataset="noise", faces="whole", split_digest="", proof_of_machinery=True),
    )  # fmt: skip
    models.save(HERE / "model", trained, known)
    score, logits = models.load(HERE / "model").scorer(2), {}
    for number, (name, label) in enumerate((("real-1", REAL), ("real-2", REAL), ("fake-1", FAKE), ("fake-2", FAKE))):
        image = picture(9000 + number, label)
        (HERE / f"{name}.png").write_bytes(codec.encode_png(image))
        logits[name] = float(score(image[None])[0])
    (HERE / "logits.json").write_text(json.dumps(logits, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
