"""Verdicts near a threshold are checked by judging the re-encoded crops too, and no other file costs a forward pass."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data
from support.scanning import MediaDecoder, tiny_params, write_clip, write_many, write_params

from fauxscan import Detector, cli, models
from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import Dense, Ensemble, EnsembleCard, JudgingRule, sigmoid
from fauxscan.media.images import codec
from fauxscan.media.images.model_input import model_input
from fauxscan.models import Calibration
from fauxscan.records import Status, Verdict
from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine import outcomes
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.inference import backends
from fauxscan.scanning.tables import parquet, queries, schemas

pytest_plugins = ["support.scanning_models"]
Rows = dict[str, dict[str, Any]]
FIXED = {"temperature": 1.0, "false_positive_rate": 0.05, "false_negative_rate": 0.05, "reals": 1, "fakes": 1}
NEVER = sigmoid(-20), sigmoid(20)


@dataclass
class Passes:
    """Loads the models of the settings and counts the images that go through each of them."""

    spoil: Callable[[int], bool] = lambda image: False  # by the number of the image: its logit becomes NaN
    images: dict[str, int] = field(default_factory=dict)

    def load(self, chosen: settings.Settings) -> Ensemble:
        """Return the models; those of `backends.load` with a counter."""
        loaded = backends.load(chosen)
        return replace(loaded, members=tuple(Counted(member, self) for member in loaded.members))

    @property
    def total(self) -> int:
        """Return the number of images that went through all models."""
        return sum(self.images.values())


@dataclass(frozen=True)
class Counted:
    """A member whose forward passes are counted."""

    member: Any
    passes: Passes

    @property
    def card(self) -> models.ModelCard:
        """Return the card of the member."""
        return self.member.card  # type: ignore[no-any-return]

    def scorer(self, batch: int) -> Callable[[Any], Any]:
        """Return the forward pass of the member."""
        forward = self.member.scorer(batch)

        def counted(images: Any) -> Any:
            first = self.passes.images.get(self.card.name, 0)
            self.passes.images[self.card.name] = first + len(images)
            spoiled = [self.passes.spoil(first + number) for number in range(len(images))]
            return np.where(spoiled, np.float32(np.nan), forward(images))

        return counted


def calibrated(folder: Path, low: float, high: float) -> Path:
    """Give a model folder other thresholds."""
    card = models.read_card(folder)
    calibration = Calibration(low=low, high=high, **FIXED)
    models.write_card(folder, card.model_copy(update={"calibration": calibration}))
    return folder


@pytest.fixture
def model(tmp_path: Path, exported_models: list[Path]) -> Path:
    """Return a model for whole images that judges nothing as fake or real, until a test gives it thresholds."""
    return calibrated(shutil.copytree(exported_models[1], tmp_path / "models" / "wholes"), *NEVER)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with pieces of photographs."""
    root = write_many(tmp_path / "in", 14)
    for number, photograph in enumerate((data.astronaut(), data.chelsea(), data.coffee())):
        cv2.imwrite(str(root / f"photograph {number}.png"), cv2.cvtColor(photograph, cv2.COLOR_RGB2BGR))
    return root


def chosen(model: Path, check: bool = True, margin: float = 0.5) -> settings.Settings:
    """Return the settings of a scan with one model."""
    return settings.read(tiny_params(engine="openvino", check_reencoded=check, reencoded_margin=margin), [model])


def scanned(root: Path, results: Path, judged_with: settings.Settings, passes: Passes | None = None) -> Rows:
    """Scan, and return the current rows by path, each with its first row of `scores`."""
    scan.scan(root, results, Engine(judged_with, (passes or Passes()).load, MediaDecoder))
    scores = {
        row["sha256"]: row
        for row in reversed(parquet.read(results, schemas.SCORES).to_pylist())
        if row["settings"] == judged_with.digest
    }
    rows = queries.latest(results).to_pylist()
    return {row["path"]: row | {"score": scores.get(row["sha256"])} for row in rows}


def both_logits(root: Path, results: Path, model: Path) -> dict[str, tuple[float, float]]:
    """Return the logit of each file, and that of its re-encoded image, by judging all files twice."""
    calibrated(model, sigmoid(-20), sigmoid(-19.9))
    rows = scanned(root, results, chosen(model, margin=1000))
    return {path: (row["score"]["logit"], row["score"]["logit_reencoded"]) for path, row in rows.items()}


def flipping(logits: Mapping[str, tuple[float, float]]) -> tuple[str, float]:
    """Return the file whose logit falls most by re-encoding, and the threshold in the middle of its two logits."""
    path = max(logits, key=lambda path: logits[path][0] - logits[path][1])
    first, second = logits[path]
    assert second < first < 15
    return path, (first + second) / 2


def without_run(rows: Rows) -> Rows:
    """Return rows without what differs between a first scan and a later one."""
    return {path: row | {"run_id": None, "change": None} for path, row in rows.items()}


def test_only_files_near_a_threshold_are_judged_twice(root: Path, model: Path, tmp_path: Path) -> None:
    logits = both_logits(root, tmp_path / "all", model)
    _, threshold = flipping(logits)
    distances = sorted(abs(first - threshold) for first, _ in logits.values() if first >= threshold)
    margin = (distances[0] + distances[-1]) / 2
    calibrated(model, NEVER[0], sigmoid(threshold))
    before, after = Passes(), Passes()
    unchecked = scanned(root, tmp_path / "unchecked", chosen(model, check=False), before)
    rows = scanned(root, tmp_path / "checked", chosen(model, margin=margin), after)
    near = {row["sha256"] for path, row in rows.items() if 0 <= logits[path][0] - threshold <= margin}
    contents = {row["sha256"] for row in rows.values()}
    assert 0 < len(near) < len(contents)
    assert (before.total, after.total) == (len(contents), len(contents) + len(near))
    for path, row in rows.items():
        assert (row["score"]["logit_reencoded"] is not None) == (row["sha256"] in near), path
        assert row["p_fake"] == unchecked[path]["p_fake"]
        assert row["score"]["logit"] == unchecked[path]["score"]["logit"] and row["score"]["p_fake"] == row["p_fake"]


@pytest.mark.parametrize("side", ["high", "low"])
def test_a_verdict_that_flips_is_uncertain_and_one_that_does_not_stays(
    root: Path, model: Path, tmp_path: Path, side: str
) -> None:
    logits = both_logits(root, tmp_path / "all", model)
    if side == "low":
        logits = {path: (-first, -second) for path, (first, second) in logits.items()}
    sign = 1 if side == "high" else -1
    path, threshold = flipping(logits)
    ends = (NEVER[0], sigmoid(threshold)) if sign == 1 else (sigmoid(-threshold), NEVER[1])
    calibrated(model, *ends)
    unchecked = scanned(root, tmp_path / "unchecked", chosen(model, check=False))
    rows = scanned(root, tmp_path / "checked", chosen(model, margin=1000))
    concluded = Verdict.LIKELY_SYNTHETIC if side == "high" else Verdict.NO_INDICATION
    assert (unchecked[path]["verdict"], unchecked[path]["detail"]) == (concluded, None)
    assert (rows[path]["verdict"], rows[path]["detail"]) == (Verdict.UNCERTAIN, outcomes.FLIPS)
    assert rows[path]["detail"] == "its verdict changes when the image is re-encoded"
    for name, row in rows.items():
        first, second = logits[name]
        expected = (concluded if second >= threshold else Verdict.UNCERTAIN) if first >= threshold else "uncertain"
        assert row["verdict"] == expected, name
        assert row["p_fake"] == unchecked[name]["p_fake"] == pytest.approx(sigmoid(sign * first), abs=1e-6)
    assert concluded in {row["verdict"] for row in rows.values()}


def test_the_second_logit_is_that_of_the_models_own_input_as_a_jpeg(root: Path, model: Path, tmp_path: Path) -> None:
    logits = both_logits(root, tmp_path / "all", model)
    (member,) = backends.load(chosen(model)).members
    forward = member.scorer(4)
    for number in range(3):
        path = f"photograph {number}.png"
        image = codec.decode((root / path).read_bytes(), "png", 10**9)
        given = model_input(image, member.card.input_size)
        pair = forward(np.stack([given, codec.jpeg_compressed(given, 90)]))
        assert logits[path] == pytest.approx(tuple(pair), abs=1e-4) and logits[path][0] != logits[path][1]


def test_without_the_check_settings_and_rows_are_those_of_before(root: Path, model: Path, tmp_path: Path) -> None:
    calibrated(model, sigmoid(-0.1), sigmoid(0.1))
    params = tiny_params(engine="openvino")
    assert not params.scan.check_reencoded
    plain = settings.read(params, [model])
    off, on, wider = chosen(model, check=False, margin=3), chosen(model), chosen(model, margin=3)
    assert (off.digest, off.logits_digest) == (plain.digest, plain.logits_digest)
    assert (
        len({one.digest for one in (plain, on, wider)}) == len({one.logits_digest for one in (plain, on, wider)}) == 3
    )
    assert plain.faces_digest == on.faces_digest
    passes = Passes()
    rows = scanned(root, tmp_path / "results", off, passes)
    assert passes.total == len({row["sha256"] for row in rows.values()})
    assert {row["score"]["logit_reencoded"] for row in rows.values()} == {None}


def test_the_reencoded_frames_of_a_video_are_joined_as_its_frames_are(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_clip(tmp_path / "in" / "clip.mp4", frames=100)
    calibrated(model, sigmoid(-20), sigmoid(-19.9))
    passes = Passes()
    rows = scanned(tmp_path / "in", tmp_path / "all", chosen(model, margin=1000), passes)
    scores = parquet.read(tmp_path / "all", schemas.SCORES).to_pylist()
    assert len(scores) > 2 and passes.total == 2 * len(scores)
    (first,), (second,) = (outcomes.media_logits(scores, name).values() for name in ("logit", "logit_reencoded"))
    assert first != second and rows["clip.mp4"]["p_fake"] == pytest.approx(sigmoid(first), abs=1e-6)
    middle = sigmoid((first + second) / 2)
    calibrated(model, *((NEVER[0], middle) if second < first else (middle, NEVER[1])))
    judged = scanned(tmp_path / "in", tmp_path / "again", chosen(model, margin=abs(first - second)))["clip.mp4"]
    assert (judged["verdict"], judged["detail"]) == (Verdict.UNCERTAIN, outcomes.FLIPS)


def test_judging_stored_logits_anew_gives_what_a_new_scan_gives(root: Path, model: Path, tmp_path: Path) -> None:
    logits = both_logits(root, tmp_path / "all", model)
    path, threshold = flipping(logits)
    ordered = sorted({first for first, _ in logits.values()})
    first_threshold, margin = ordered[0] - 0.1, ordered[-1] - ordered[0] + 0.2
    calibrated(model, NEVER[0], sigmoid(first_threshold))
    scanned(root, tmp_path / "results", chosen(model, margin=margin))
    calibrated(model, NEVER[0], sigmoid(threshold))
    again, passes = chosen(model, margin=margin), Passes()
    rejudged = scanned(root, tmp_path / "results", again, passes)
    assert passes.total == 0, "all files had been checked"
    assert {row["change"] for row in rejudged.values()} == {"rescored"}
    anew = scanned(root, tmp_path / "anew", again)
    without_score = lambda rows: {name: row | {"score": None} for name, row in without_run(rows).items()}
    assert without_score(rejudged) == without_score(anew)
    assert all(row["score"]["logit_reencoded"] is not None for row in rejudged.values()), "also those far away by now"
    assert rejudged[path]["detail"] == outcomes.FLIPS
    calibrated(model, NEVER[0], sigmoid(first_threshold))
    back = scanned(root, tmp_path / "results", chosen(model, margin=margin), passes)
    assert passes.total == 0 and {row["detail"] for row in back.values()} == {None}, "the reason is gone again"


def test_a_file_that_comes_near_by_a_new_calibration_is_read_again(root: Path, model: Path, tmp_path: Path) -> None:
    logits = both_logits(root, tmp_path / "all", model)
    path, threshold = flipping(logits)
    margin = logits[path][0] - threshold
    calibrated(model, *NEVER)
    scanned(root, tmp_path / "results", chosen(model, margin=margin * 1.01))
    calibrated(model, NEVER[0], sigmoid(threshold))
    again, passes = chosen(model, margin=margin * 1.01), Passes()
    rejudged = scanned(root, tmp_path / "results", again, passes)
    near = {row["sha256"] for name, row in rejudged.items() if 0 <= logits[name][0] - threshold <= margin * 1.01}
    assert len(near) < len({row["sha256"] for row in rejudged.values()})
    assert passes.total == 2 * len(near), "they are read and judged twice, and no other file is read"
    anew = scanned(root, tmp_path / "anew", again)
    assert without_run(rejudged) == without_run(anew)
    assert rejudged[path]["detail"] == outcomes.FLIPS


def test_a_logit_that_is_not_finite_after_reencoding_is_no_judgement(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "cat.png"), data.chelsea()[..., ::-1])
    calibrated(model, sigmoid(-20), sigmoid(-19.9))
    (row,) = scanned(
        tmp_path / "in", tmp_path / "results", chosen(model, margin=1000), Passes(lambda number: number == 1)
    ).values()
    assert (row["status"], row["p_fake"], row["detail"]) == (Status.INVALID_SCORE, None, outcomes.INVALID_SCORE)
    assert math.isfinite(row["score"]["logit"]) and row["score"]["logit_reencoded"] is None


def test_the_distance_of_an_ensemble_is_that_of_its_joint_calibrated_logit(exported_models: list[Path]) -> None:
    cards = tuple(
        models.read_card(folder).model_copy(update={"calibration": Calibration(low=0.1, high=0.9, **FIXED)})
        for folder in exported_models
    )
    mean = JudgingRule(cards).judge({"faces": 2.0, "wholes": 3.0})
    assert (mean.verdict, mean.distance) == ("likely_synthetic", pytest.approx(2.5 - ensemble.logit(0.9)))
    fitted = EnsembleCard(
        name="e", method="mean", dataset="none", layers=(Dense(kernel=((1.0,), (1.0,)), bias=(0.0,)),),
        digests={card.name: card.model_digest for card in cards}, proof_of_machinery=False,
        calibration=Calibration(low=0.2, high=0.8, **FIXED | {"temperature": 2.0}),
    )  # fmt: skip
    rule = JudgingRule(cards, fitted)
    for logit, verdict, distance in ((-3, "no_indication", ensemble.logit(0.2) + 3), (0, "uncertain", math.inf)):
        judged = rule.judge({"faces": logit, "wholes": logit})
        assert (judged.verdict, judged.distance) == (verdict, pytest.approx(distance))


def test_check_and_the_python_functions_follow_the_same_rule(
    root: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, threshold = flipping(both_logits(root, tmp_path / "all", model))
    calibrated(model, NEVER[0], sigmoid(threshold))
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path / "params.yaml", engine="openvino", reencoded_margin=1000)
    expected = scanned(root, tmp_path / "checked", chosen(model, margin=1000))
    params = tiny_params(engine="openvino", check_reencoded=True, reencoded_margin=1000.0)
    names = sorted(expected)
    with Detector([model], params=params) as detector:  # with decoders that are processes
        judged = detector.judge_all([root / name for name in names])
    for name, one in zip(names, judged, strict=True):
        assert (one.verdict, one.detail) == (expected[name]["verdict"], expected[name]["detail"]), name
        assert one.p_fake == pytest.approx(expected[name]["p_fake"], abs=1e-6)
    command = ["check", str(root / path), "--models", str(model), "--format", "json"]
    printed = {}
    for option in ("--check-reencoded", "--no-check-reencoded"):
        assert cli.run([*command, option]) == 0
        (printed[option],) = json.loads(capsys.readouterr().out)
    assert cli.run(command) == 0
    assert json.loads(capsys.readouterr().out) == [printed["--no-check-reencoded"]], "params.yaml does not ask for it"
    assert printed["--check-reencoded"]["verdict"] == "uncertain"
    assert printed["--check-reencoded"]["detail"] == outcomes.FLIPS
    assert printed["--no-check-reencoded"]["verdict"] == "likely_synthetic"
    results = ["--models", str(model), "--results", str(tmp_path / "by the command")]
    assert cli.run(["scan", str(root), *results, "--check-reencoded"]) == 0
    rows = {row["path"]: row for row in queries.latest(tmp_path / "by the command").to_pylist()}
    assert rows[path]["detail"] == outcomes.FLIPS
    assert {row["settings"] for row in rows.values()} == {settings.read(params, [model]).digest}
