"""Thresholds for videos: what they are fitted on, which files are judged by them, and what of them enters digests."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from support.scanning import stub_cards

from fauxscan import models
from fauxscan.judging import calibration, combining, ensemble, evaluation, manifest, scoring
from fauxscan.judging.aggregation import robust_mean
from fauxscan.judging.ensemble import Dense, EnsembleCard, JudgingRule
from fauxscan.judging.videos import table, thresholds
from fauxscan.models import Calibration, ModelCard, VideoThresholds
from fauxscan.params import CalibrateParams, CombinerParams
from fauxscan.records import LOGITS, Kind, Verdict

OLD = Calibration(
    temperature=2.0, high=0.8, low=0.2, false_positive_rate=0.05, false_negative_rate=0.05, reals=50, fakes=50
)
IMAGES = OLD.model_copy(update={"separate_videos": True})
PARAMS = CalibrateParams(pseudo_videos=("frames",))


def evidence(**changes: Any) -> models.Evidence:
    known = {"real_sources": 40, "fake_sources": 40, "auc": 0.9, "auc_low": 0.85, "auc_high": 0.94}
    return models.Evidence(**({"confidence": 0.95, "noise": None} | known | changes))


def with_videos(low: float, high: float, **changes: Any) -> Calibration:
    fitted = VideoThresholds(low=low, high=high, videos=80, pseudo_videos=0, evidence=evidence(**changes))
    return IMAGES.model_copy(update={"videos": fitted})


def media(rng: np.random.Generator, sources: int, frames: int, kind: Kind, dataset: str, lift: float) -> pd.DataFrame:
    """Return files with logits of `sources` sources per class; those of fakes are higher, and all by `lift`."""
    label = np.repeat(np.tile([0, 1], sources), frames)
    source = np.repeat([f"{dataset}{n}" for n in range(2 * sources)], frames)
    found = pd.DataFrame({"sha256": [f"{dataset}{n}" for n in range(len(label))], "label": label, "source": source})
    drawn = rng.normal(0, 1, len(label)) + 2 * label + lift
    generator = np.where(label == 1, "swap", "")
    return found.assign(generator=generator, dataset=dataset, kind=str(kind), logit=drawn, shifted=drawn + 0.1)


# === The table of videos ===


def test_files_with_several_judged_frames_are_videos() -> None:
    rows = [("a", 0, 0), ("a", 5, 0), ("a", 5, 1), ("b", 0, 0), ("b", 0, 1)]  # b is an image of two people
    known = {"label": 0, "face": 0, "generator": "", "source": "s", "logit": 1.0}
    faces = pd.DataFrame([{"sha256": file, "frame": frame, "track": track, **known} for file, frame, track in rows])
    kinds = scoring.media_logits(faces[LOGITS.names]).set_index("sha256")["kind"]
    assert dict(kinds) == {"a": "video", "b": "image"}


def test_frames_of_one_source_and_label_are_a_pseudo_video(rng: np.random.Generator) -> None:
    frames = media(rng, 2, 7, Kind.IMAGE, "frames", 0)
    alone = frames.iloc[:1].assign(source="alone")
    videos = media(rng, 3, 1, Kind.VIDEO, "clips", 0)
    photos = media(rng, 3, 4, Kind.IMAGE, "photos", 0)
    everything = pd.concat([photos, frames, alone, videos], ignore_index=True)
    found = table.collect(everything, ("frames",), 3, ("logit", "shifted"))
    assert found["pseudo"].value_counts().to_dict() == {False: 6, True: 4}
    made = found[found["pseudo"]].set_index("source")
    for source, own in frames.groupby("source"):
        for column in ("logit", "shifted"):
            assert made.loc[source, column] == pytest.approx(robust_mean(own[column].iloc[[0, 2, 4]])), "even"
    assert set(found["kind"]) == {"video"}
    assert len(table.collect(everything, (), 3, ("logit",))) == 6
    assert table.collect(everything.drop(columns="kind"), ("frames",), 3, ("logit",)).empty, "a table of older versions"


def test_what_was_not_measured_of_a_frame_is_not_known_of_its_video(rng: np.random.Generator) -> None:
    frames = media(rng, 1, 4, Kind.IMAGE, "frames", 0).assign(shifted=[0.1, np.nan, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    found = table.collect(frames, ("frames",), 32, ("logit", "shifted"))
    assert found["shifted"].isna().tolist() == [True, False] and found["logit"].notna().all()


# === Fitting ===


def fitted_on(found: pd.DataFrame) -> Calibration:
    return thresholds.fit("m", found, calibration.fit_media(found, PARAMS), PARAMS, 32)


def test_videos_have_thresholds_at_their_own_error_rates(rng: np.random.Generator) -> None:
    images, videos = (
        media(rng, 100, 1, Kind.IMAGE, "photos", 0),
        media(rng, 100, 1, Kind.VIDEO, "clips", 3),
    )
    fitted = fitted_on(pd.concat([images, videos], ignore_index=True))
    of = fitted.videos
    assert of is not None and (of.videos, of.pseudo_videos) == (200, 0) and fitted.separate_videos
    assert (of.evidence.real_sources, of.evidence.fake_sources) == (100, 100)
    assert of.evidence.auc is not None and of.evidence.auc == pytest.approx(0.92, abs=0.05)
    assert of.evidence.noise == pytest.approx(0.1 / fitted.temperature)
    p_fake = expit(videos["logit"] / fitted.temperature)
    assert (
        (p_fake[videos["label"] == 0] >= of.high).mean() <= 0.05 < (p_fake[videos["label"] == 0] >= fitted.low).mean()
    )
    assert (p_fake[videos["label"] == 1] <= of.low).mean() <= 0.05 and of.high > fitted.high
    said = thresholds.describe(fitted)
    assert (
        f"from p_fake {of.high:.4f} on" in said and "200 videos of 100 real and 100 fake sources; AUC there 0." in said
    )


def test_too_few_sources_of_a_class_give_no_thresholds_and_the_log_says_so(
    rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "fauxscan")
    found = pd.concat(
        [media(rng, 30, 1, Kind.IMAGE, "photos", 0), media(rng, 19, 5, Kind.IMAGE, "frames", 0)], ignore_index=True
    )
    fitted = fitted_on(found)
    assert fitted.videos is None and fitted.separate_videos
    (said,) = caplog.messages
    assert "too few: 19 of reals and 19 of fakes, but 20 are required" in said and said.startswith("m: ")
    assert "always `uncertain`" in thresholds.describe(fitted)
    assert "judged by the thresholds for images" in thresholds.describe(OLD)
    more = pd.concat([found, media(rng, 1, 1, Kind.VIDEO, "clips", 0)], ignore_index=True)
    of = fitted_on(more).videos
    assert of is not None and (of.videos, of.pseudo_videos) == (2, 38)


def test_reals_alone_set_the_upper_threshold_for_videos(rng: np.random.Generator) -> None:
    reals = media(rng, 60, 1, Kind.VIDEO, "clips", 1).query("label == 0")
    before = with_videos(0.1, 0.9)
    fitted = thresholds.fit_reals("m", reals, calibration.fit_reals(reals, before, PARAMS), PARAMS, 32)
    of = fitted.videos
    assert of is not None and of.low == 0.1 and (of.videos, of.evidence.real_sources) == (60, 60)
    assert (of.evidence.auc, of.evidence.fake_sources) == (0.9, 40) and fitted.temperature == 2.0
    assert (expit(reals["logit"] / 2.0) >= of.high).mean() <= 0.05 and of.high != 0.9
    few = reals.iloc[:19]
    kept = thresholds.fit_reals("m", few, calibration.fit_reals(few, before, PARAMS), PARAMS, 32)
    assert kept.videos == before.videos
    unknown = thresholds.fit_reals("m", reals, calibration.fit_reals(reals, None, PARAMS), PARAMS, 32).videos
    assert unknown is not None and unknown.low == 0 and unknown.evidence.auc is None


def test_an_ensemble_is_fitted_on_pseudo_videos_of_its_members(tmp_path: Path, rng: np.random.Generator) -> None:
    label = np.repeat(np.tile([0, 1], 25), 6)
    for folder in stub_cards(tmp_path):
        drawn = rng.normal(0, 1, len(label)) + 2 * label
        files = pd.DataFrame({"sha256": [f"{n:064x}" for n in range(len(label))], "label": label, "logit": drawn})
        files = files.assign(source=np.repeat([f"v{n}" for n in range(50)], 6), dataset="frames", kind="image")
        files.to_parquet(folder / manifest.LOGITS, index=False)
    combiner = CombinerParams(method="mean", members=("faces", "wholes"), clip=1.0)
    manifest.write_manifest(combiner.members, tmp_path, tmp_path / "members.json")
    combining.combine("both", combiner, tmp_path, tmp_path / "members.json", tmp_path / "both", PARAMS, 1, 4)
    fitted = ensemble.read_ensemble_card(tmp_path / "both").calibration
    of = fitted.videos
    assert of is not None and (of.videos, of.pseudo_videos) == (0, 50) and fitted.reals == 150
    assert of.evidence.auc is not None and fitted.evidence and fitted.evidence.auc
    assert of.evidence.auc > fitted.evidence.auc, "the mean of four frames"
    members = [pd.read_parquet(tmp_path / name / manifest.LOGITS) for name in combiner.members]
    chosen = [of_member["logit"].to_numpy().reshape(50, 6)[:, [0, 1, 3, 4]] for of_member in members]
    means = [np.array([robust_mean(row) / 1.5 for row in rows]).clip(-1, 1) for rows in chosen]
    joined = expit((means[0] + means[1]) / 2 / fitted.temperature)
    assert of.high in (joined[::2].max(), np.nextafter(joined[::2].max(), 2)) or (joined[::2] >= of.high).mean() <= 0.05
    assert (joined[1::2] <= of.low).mean() <= 0.05


# === Judging ===


def card(name: str, fitted: Calibration | None, folder: Path) -> ModelCard:
    stub = models.read_card(stub_cards(folder)[1])
    return stub.model_copy(update={"name": name, "model_digest": name, "calibration": fitted})


def judged(logits: dict[str, float], kind: Kind, cards: list[ModelCard], joint: EnsembleCard | None = None) -> Any:
    return JudgingRule(tuple(cards), joint).judge(logits, kind)


def test_videos_are_judged_by_their_own_thresholds(tmp_path: Path) -> None:
    one = [card("a", with_videos(0.5, 0.95), tmp_path)]
    at = {"a": 2 * float(logit(0.85))}
    image, video = (judged(at, kind, one) for kind in (Kind.IMAGE, Kind.VIDEO))
    assert (image.verdict, video.verdict) == (Verdict.LIKELY_SYNTHETIC, Verdict.UNCERTAIN)
    assert image.p_fake == video.p_fake and video.reason == ""
    assert judged({"a": 0.0}, Kind.VIDEO, one).verdict is Verdict.NO_INDICATION
    assert judged({"a": 2 * float(logit(0.96))}, Kind.VIDEO, one).verdict is Verdict.LIKELY_SYNTHETIC


def test_without_thresholds_for_videos_a_video_is_uncertain_and_says_what_to_do(tmp_path: Path) -> None:
    image, video = (judged({"a": 40.0}, kind, [card("a", IMAGES, tmp_path)]) for kind in (Kind.IMAGE, Kind.VIDEO))
    assert (image.verdict, video.verdict) == (Verdict.LIKELY_SYNTHETIC, Verdict.UNCERTAIN)
    assert video.p_fake == image.p_fake > 0.99
    assert video.reason.startswith("a gives no verdict on videos: no threshold was fitted on videos (calibrate it on")
    assert "fauxscan calibrate --help" in video.reason
    assert not ensemble.gives_verdicts([card("a", IMAGES, tmp_path)], None, Kind.VIDEO)
    weak = judged({"a": 40.0}, Kind.VIDEO, [card("a", with_videos(0.5, 0.95, auc_low=0.4), tmp_path)])
    assert weak.verdict is Verdict.UNCERTAIN and "on videos: its AUC on calibration data is 0.900" in weak.reason


def test_a_card_of_an_older_version_judges_videos_as_before(tmp_path: Path) -> None:
    old = [card("a", OLD, tmp_path)]
    for raw in (-9.0, 0.0, 9.0):
        assert judged({"a": raw}, Kind.VIDEO, old) == judged({"a": raw}, Kind.IMAGE, old)
    assert ensemble.gives_verdicts(old, None, Kind.VIDEO)


def test_the_thresholds_of_models_without_a_combiner_are_the_mean_in_logits(tmp_path: Path) -> None:
    both = [card("a", with_videos(0.5, 0.95), tmp_path), card("b", with_videos(0.5, 0.8), tmp_path)]
    edge = 2 * float(logit(0.95) + logit(0.8)) / 2
    for raw, verdict in ((edge + 0.01, Verdict.LIKELY_SYNTHETIC), (edge - 0.01, Verdict.UNCERTAIN)):
        assert judged({"a": raw, "b": raw}, Kind.VIDEO, both).verdict is verdict
    lacking = [both[0], card("b", IMAGES, tmp_path)]
    assert judged({"a": 40.0, "b": 40.0}, Kind.VIDEO, lacking).reason.startswith("b gives no verdict on videos")
    assert judged({"a": 40.0}, Kind.VIDEO, lacking).verdict is Verdict.LIKELY_SYNTHETIC, "b had no say in it"


def joint(fitted: Calibration) -> EnsembleCard:
    layers = (Dense(kernel=((0.5,), (0.5,)), bias=(0.0,)),)
    known = {"name": "e", "method": "mean", "dataset": "d", "proof_of_machinery": False}
    return EnsembleCard(layers=layers, digests={"a": "a", "b": "b"}, calibration=fitted, **known)


def test_an_ensemble_with_a_combiner_needs_no_thresholds_of_its_members(tmp_path: Path) -> None:
    members, at = [card("a", IMAGES, tmp_path), card("b", OLD, tmp_path)], {"a": 40.0, "b": 40.0}
    assert judged(at, Kind.VIDEO, members, joint(with_videos(0.1, 0.9))).verdict is Verdict.LIKELY_SYNTHETIC
    assert judged(at, Kind.VIDEO, members, joint(IMAGES)).reason.startswith("e gives no verdict on videos")
    assert judged(at, Kind.VIDEO, members, joint(OLD)).verdict is Verdict.LIKELY_SYNTHETIC


def test_an_evaluation_counts_videos_at_their_own_threshold() -> None:
    units = pd.Series(["image", "video"])
    assert units.map(evaluation._upper_thresholds(with_videos(0.1, 0.9))).tolist() == [0.8, 0.9]
    assert units.map(evaluation._upper_thresholds(IMAGES)).tolist() == [0.8, np.inf]
    assert units.map(evaluation._upper_thresholds(OLD)).tolist() == [0.8, 0.8]


# === Digests ===


def test_older_cards_keep_their_digests_and_thresholds_for_videos_change_them() -> None:
    assert joint(OLD).model_digest == "57e0fcc5f6a72caf"
    hashed = ensemble.hashed_calibration(OLD)
    assert hashed is not None and "videos" not in hashed and "separate_videos" not in hashed
    of_each = [OLD, IMAGES, with_videos(0.1, 0.9), with_videos(0.1, 0.95), with_videos(0.1, 0.9, auc_low=0.1)]
    assert len({joint(fitted).model_digest for fitted in of_each}) == 5
    assert joint(with_videos(0.1, 0.9)).model_digest == joint(with_videos(0.1, 0.9, auc=0.91)).model_digest
    older = OLD.model_dump(exclude={"separate_videos", "videos"})
    assert Calibration.model_validate(older) == OLD
