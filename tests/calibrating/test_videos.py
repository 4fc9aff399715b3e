"""`fauxscan calibrate` on a user's videos, with a real network and real clips."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.preparing import picture, save
from support.scanning import write_params
from support.videos import clip

from fauxscan import Detector, cli, models, params

pytest_plugins = ["support.scanning_models"]
CLIPS, PHOTOS = 20, 21


def panning(seed: int, lift: int) -> Iterator[np.ndarray]:
    """Yield the frames of a camera that pans over a picture."""
    scene = picture(seed, 96) // 2 + lift
    return (np.ascontiguousarray(scene[n : n + 64, n : n + 64]) for n in range(6))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, exported_models: list[Path]) -> Path:
    """Return a folder with params.yaml, an uncalibrated model, and clips and photos of two classes."""
    home = tmp_path_factory.mktemp("videos")
    write_params(home / "params.yaml")
    shutil.copytree(exported_models[1], home / "imported")
    card = models.read_card(home / "imported")
    models.write_card(home / "imported", card.model_copy(update={"calibration": None, "name": "imported"}))
    for label, lift in (("camera", 0), ("made", 110)):
        for folder in ("clips", "photos"):
            (home / folder / label).mkdir(parents=True)
        for n in range(CLIPS):
            clip(home / "clips" / label / f"{n}.mp4", panning(2 * n + bool(lift), lift), rate=2)
        for n in range(PHOTOS):
            save(home / "photos" / label / f"{n}.png", picture(2 * n + bool(lift), 64) // 2 + lift)
    return home


def calibrate(home: Path, model: str, *arguments: str, out: str) -> models.Calibration:
    given = [str(home / model), *arguments, "--out", str(home / out), "--params", str(home / "params.yaml")]
    assert cli.run(["calibrate", *given]) == 0
    fitted = models.read_card(home / out).calibration
    assert fitted is not None and fitted.separate_videos
    return fitted


def classes(home: Path, folder: str) -> list[str]:
    return [str(home / folder), "--real", "camera", "--fake", "made"]


def test_a_user_fits_thresholds_on_videos_and_on_images(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = home / "both"
    for label in ("camera", "made"):
        for folder in ("clips", "photos"):
            shutil.copytree(home / folder / label, both / label, dirs_exist_ok=True)
    fitted = calibrate(home, "imported", *classes(home, "both"), out="on_both")
    of = fitted.videos
    assert of is not None and (of.videos, of.pseudo_videos) == (2 * CLIPS, 0)
    assert (of.evidence.real_sources, of.evidence.fake_sources) == (CLIPS, CLIPS) and of.evidence.noise is not None
    assert (fitted.reals, fitted.fakes) == (CLIPS + PHOTOS, CLIPS + PHOTOS)
    assert f"Videos: `likely_synthetic` from p_fake {of.high:.4f} on" in capsys.readouterr().out
    stored = pd.read_parquet(home / "on_both" / "validation.parquet")
    assert stored["kind"].value_counts().to_dict() == {"image": 2 * PHOTOS, "video": 2 * CLIPS}
    strict = calibrate(home, "on_both", "--false-positives", "0.2", out="again").videos
    assert strict is not None and strict.videos == 2 * CLIPS and strict.high <= of.high, "from the stored logits"


def test_images_alone_leave_videos_uncertain_until_videos_are_given(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = ["--reals", str(home / "photos" / "camera")]  # without fakes nothing is known of an AUC that may be low
    assert calibrate(home, "imported", *photos, out="on_photos").videos is None
    assert "Videos: always `uncertain`" in capsys.readouterr().out
    video, photo = home / "clips" / "made" / "1.mp4", home / "photos" / "made" / "1.png"
    settings = params.load(home / "params.yaml")
    with Detector(home / "on_photos", params=settings) as detector:
        judged, image = detector.judge(video), detector.judge(photo)
    assert judged.verdict == "uncertain" and judged.detail and "no threshold was fitted on videos" in judged.detail
    assert judged.p_fake is not None and "videos" not in (image.detail or "")
    capsys.readouterr()
    given = ["check", str(video), "--models", str(home / "on_photos"), "--params", str(home / "params.yaml")]
    cli.run([*given, "--format", "json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["verdict"], row["detail"]) == ("uncertain", judged.detail)
    reals = ["--reals", str(home / "clips" / "camera")]
    fitted = calibrate(home, "on_photos", *reals, out="on_real_clips")
    assert fitted.videos is not None and fitted.videos.low == 0 and fitted.videos.evidence.auc is None
    with Detector(home / "on_real_clips", params=settings) as detector:
        again = detector.judge(video)
    assert again.p_fake == judged.p_fake and again.detail is None
    assert again.verdict == ("likely_synthetic" if judged.p_fake >= fitted.videos.high else "uncertain")
