"""The user's own calibrations: scans use them in place of the cards', for stored logits too, and no stage uses them."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.scanning import stub_cards, stub_engine, tiny_params, union, write_clip, write_folder, write_many

from fauxscan import Detector, models
from fauxscan.models import Calibration, Evidence, VideoThresholds
from fauxscan.records import UserError
from fauxscan.scanning import dry_run, scan, score_folder, settings, user_calibrations
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.tables import parquet, queries, schemas

pytest_plugins = ["support.scanning_models"]
OWN = Calibration(
    temperature=0.4, high=0.6, low=0.1, false_positive_rate=0.01, false_negative_rate=0.02, reals=50, fakes=40
)
KNOWS_LITTLE = Evidence(
    real_sources=3, fake_sources=40, auc=0.9, auc_low=0.8, auc_high=1.0, confidence=0.95, noise=None
)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the configuration folder of the user."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "fauxscan"


def own(model: Path, calibration: Calibration = OWN) -> Path:
    """Write the user's own calibration of a model."""
    return user_calibrations.write(models.read_card(model), calibration, "/photos")


def test_it_is_used_in_place_of_the_cards_and_a_line_names_the_file(
    tmp_path: Path, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "fauxscan")
    folders = stub_cards(tmp_path / "models")
    before = settings.read(tiny_params(), folders)
    assert not caplog.messages and before.user_calibrations == {}
    file = own(folders[0])
    assert file == config / "calibrations" / f"{'a' * 64}.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    assert (told["model"], told["made_from"]) == ("faces", "/photos") and told["made_at"].endswith("Z")
    chosen = settings.read(tiny_params(), folders)
    assert [card.calibration for card in chosen.cards] == [OWN, before.cards[1].calibration]
    assert caplog.messages == [
        f"faces is calibrated by {file}, not by its card. Delete this file to use the card again."
    ]
    file.unlink()
    assert settings.read(tiny_params(), folders) == before


def test_the_settings_are_those_of_a_card_with_the_same_calibration(tmp_path: Path) -> None:
    folders = stub_cards(tmp_path / "models")
    before = settings.read(tiny_params(), folders)
    file = own(folders[0])
    by_the_user = settings.read(tiny_params(), folders)
    file.unlink()
    card = models.read_card(folders[0])
    models.write_card(folders[0], card.model_copy(update={"calibration": OWN}))
    by_the_card = settings.read(tiny_params(), folders)
    assert by_the_user.digest == by_the_card.digest != before.digest
    assert by_the_user.logits_digest == by_the_card.logits_digest == before.logits_digest
    assert settings.read(tiny_params(), folders, "whole").logits_digest != before.logits_digest


@pytest.mark.parametrize("content", ["{", "{}", '{"model": "faces"}', "\udcff"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    folders = stub_cards(tmp_path / "models")
    file = own(folders[0])
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    said = f"{file} is not a calibration of this version: .*; delete it to use the calibration on the model's card"
    with pytest.raises(UserError, match=said):
        settings.read(tiny_params(), folders)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    folders = stub_cards(tmp_path / "models")
    file = user_calibrations.file_of("a" * 64)
    file.mkdir(parents=True)
    with pytest.raises(UserError, match=f"{file} cannot be read: .*; delete it"):
        settings.read(tiny_params(), folders)


def test_without_a_home_there_is_none_and_none_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = stub_cards(tmp_path / "models")
    (tmp_path / "file").write_text("no folder")
    for home in (tmp_path / "nowhere", tmp_path / "file", Path("/proc/1/fdinfo/none")):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
        assert settings.read(tiny_params(), folders).user_calibrations == {}
    with pytest.raises(UserError, match=r"cannot be written: .*; name a model folder to write with --out"):
        own(folders[0])


def pixels_gone(root: Path) -> None:
    """Overwrite every file with zeros, so that it looks the same and cannot be judged."""
    for file in root.rglob("*"):
        if file.is_file() and not file.is_symlink():
            looks = file.stat()
            file.write_bytes(bytes(looks.st_size))
            os.utime(file, ns=(looks.st_atime_ns, looks.st_mtime_ns))


def refuse(chosen: settings.Settings) -> None:
    pytest.fail("the models were loaded")


@pytest.mark.parametrize("batch_files", [2, 100])
def test_a_scan_judges_stored_logits_anew_and_reads_no_media(tmp_path: Path, batch_files: int) -> None:
    root = write_folder(tmp_path / "in")
    engine = stub_engine(tmp_path / "models", batch_files=batch_files)
    scan.scan(root, tmp_path / "results", engine)
    old = {row["path"]: row for row in queries.latest(tmp_path / "results").to_pylist()}
    for folder in engine.settings.folders:
        own(folder)
    again = stub_engine(tmp_path / "models", batch_files=batch_files)
    scan.scan(root, tmp_path / "anew", again)
    pixels_gone(root)
    forecast = dry_run.forecast(root, tmp_path / "results", again.settings)
    assert (forecast.other_settings, forecast.files_to_read) == (len(old), 0)
    summary = scan.scan(root, tmp_path / "results", Engine(again.settings, refuse))  # type: ignore[arg-type]
    assert summary.changes == {"rescored": len(old)}
    new = {row["path"]: row for row in queries.latest(tmp_path / "results").to_pylist()}
    fresh = {row["path"]: row for row in queries.latest(tmp_path / "anew").to_pylist()}
    for path, row in new.items():
        assert row | {"run_id": 0, "change": 0} == fresh[path] | {"run_id": 0, "change": 0}, path
    assert {row["settings"] for row in new.values()} == {again.settings.digest}
    judged = [path for path, row in new.items() if row["status"] == "ok"]
    assert len(judged) > 5 and all(new[path]["p_fake"] != old[path]["p_fake"] for path in judged)
    scores = [row for row in union(tmp_path / "results")[1] if row["settings"] == again.settings.digest]
    assert scores == union(tmp_path / "anew")[1]
    assert scan.scan(root, tmp_path / "results", Engine(again.settings, refuse)).changes == {}  # type: ignore[arg-type]


def test_the_reason_of_the_earlier_calibration_goes_and_defects_stay(tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 8)
    lacks_its_end = root / "lacks its end.jpg"
    lacks_its_end.write_bytes((write_folder(tmp_path / "more") / "face.jpg").read_bytes()[:-2])
    (folder,) = stub_engine(tmp_path / "models", only="wholes").settings.folders
    results, file = tmp_path / "results", own(folder, OWN.model_copy(update={"evidence": KNOWS_LITTLE}))
    scan.scan(root, results, stub_engine(tmp_path / "models", only="wholes"))
    details = {row["path"]: row["detail"] for row in queries.latest(results).to_pylist()}
    assert all("wholes gives no verdict: calibrated on 3 sources of reals" in detail for detail in details.values())
    own(folder)
    pixels_gone(root)
    told = stub_engine(tmp_path / "models", only="wholes")
    scan.scan(root, results, Engine(told.settings, refuse))  # type: ignore[arg-type]
    left = {row["path"]: row["detail"] for row in queries.latest(results).to_pylist()}
    assert left.pop("lacks its end.jpg") in details["lacks its end.jpg"] and set(left.values()) == {None}
    file.unlink()
    card = models.read_card(folder)
    models.write_card(folder, card.model_copy(update={"calibration": None}))
    scan.scan(root, results, Engine(stub_engine_with(folder), refuse))  # type: ignore[arg-type]
    assert all(row["detail"].startswith("not calibrated: wholes") for row in queries.latest(results).to_pylist())


@pytest.mark.parametrize("high", [None, 0.05, 0.95])
def test_stored_logits_of_a_video_are_judged_by_the_thresholds_for_videos(tmp_path: Path, high: float | None) -> None:
    root = write_folder(tmp_path / "in")
    (folder,) = stub_engine(tmp_path / "models", only="wholes").settings.folders
    images = OWN.model_copy(update={"separate_videos": True})
    known = KNOWS_LITTLE.model_copy(update={"real_sources": 30})
    part = None if high is None else VideoThresholds(low=0.01, high=high, videos=70, pseudo_videos=0, evidence=known)
    before, after = (images, images.model_copy(update={"videos": part})) if part else (OWN, images)
    own(folder, before)
    scan.scan(root, tmp_path / "results", stub_engine(tmp_path / "models", only="wholes"))
    own(folder, after)
    again = stub_engine(tmp_path / "models", only="wholes")
    scan.scan(root, tmp_path / "anew", again)
    pixels_gone(root)
    scan.scan(root, tmp_path / "results", Engine(again.settings, refuse))  # type: ignore[arg-type]
    new = {row["path"]: row for row in queries.latest(tmp_path / "results").to_pylist()}
    fresh = {row["path"]: row for row in queries.latest(tmp_path / "anew").to_pylist()}
    for path, row in new.items():
        assert row | {"run_id": 0, "change": 0} == fresh[path] | {"run_id": 0, "change": 0}, path
    video = new["a/clip.mp4"]
    assert video["status"] == "ok" and video["p_fake"] is not None
    if high is None:
        assert video["verdict"] == "uncertain" and "no threshold was fitted on videos" in video["detail"]
        assert not any("videos" in (row["detail"] or "") for path, row in new.items() if path != "a/clip.mp4")
    else:
        reached = "likely_synthetic" if video["p_fake"] >= high else "uncertain"
        assert (video["verdict"], video["detail"]) == (reached, None)
        assert reached == ("likely_synthetic" if high == 0.05 else "uncertain"), "between the two"


def stub_engine_with(folder: Path) -> settings.Settings:
    """Return the settings of a model as its card is now."""
    return settings.read(tiny_params(), [folder])


def test_a_copy_elsewhere_is_judged_by_its_hash_and_what_is_new_is_read(tmp_path: Path) -> None:
    root, engine = write_many(tmp_path / "in", 8), stub_engine(tmp_path / "models", only="wholes")
    results = tmp_path / "results"
    scan.scan(root, results, engine)
    own(engine.settings.folders[0])
    (root / "000.png").rename(root / "moved.png")
    write_clip(root / "new.mp4", frames=10)
    again = stub_engine(tmp_path / "models", only="wholes")
    assert scan.scan(root, results, again).changes == {"rescored": 7, "moved": 1, "new": 1}
    scores = parquet.read(results, schemas.SCORES).to_pylist()
    of_now = [(row["sha256"], row["frame"]) for row in scores if row["settings"] == again.settings.digest]
    assert len(of_now) == len(set(of_now)) and len({sha256 for sha256, _ in of_now}) == 4, "three images and the video"


def test_files_are_read_again_if_more_than_the_calibration_differs_or_is_not_known(tmp_path: Path) -> None:
    root, engine = write_many(tmp_path / "in", 8), stub_engine(tmp_path / "models", only="wholes")
    results = tmp_path / "results"
    scan.scan(root, results, engine)
    own(engine.settings.folders[0])
    (results / "settings" / f"{engine.settings.digest}.json").write_text("{")
    again = stub_engine(tmp_path / "models", only="wholes")
    assert dry_run.forecast(root, results, again.settings).files_to_judge == 3
    other = stub_engine(tmp_path / "models")
    scan.scan(root, results, again)
    assert dry_run.forecast(root, results, other.settings).files_to_judge == 3


def test_a_forecast_takes_no_speed_from_stored_logits(tmp_path: Path) -> None:
    root, engine = write_many(tmp_path / "in", 8), stub_engine(tmp_path / "models", only="wholes")
    results = tmp_path / "results"
    first = scan.scan(root, results, engine)
    own(engine.settings.folders[0])
    again = stub_engine(tmp_path / "models", only="wholes")
    scan.scan(root, results, again)
    rate = dry_run.forecast(root, results, again.settings).rate
    assert rate and rate.run_id == first.run_id


def test_a_worker_uses_the_calibration_of_the_scan_and_not_its_own(
    tmp_path: Path, exported_models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, model = write_many(tmp_path / "in", 8), exported_models[1]
    own(model)
    chosen = settings.read(tiny_params(engine="openvino"), [model])
    with parquet.locked(tmp_path / "results"):
        work = scan.prepare(root, tmp_path / "results", Engine(chosen))
    expected = work.batch_judge
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "of the worker"))
    own(model, OWN.model_copy(update={"temperature": 9.0}))
    (tmp_path / "sent").write_bytes(pickle.dumps((expected, list(work.batches))))
    program = (
        "import pickle, sys; judge, batches = pickle.load(open(sys.argv[1], 'rb'));"
        "print([outcome.p_fake for batch in batches for outcome in judge.judge(batch)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "sent")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with Detector([model], params=tiny_params(engine="openvino")) as worker:
        of_worker = [worker.judge(file).p_fake for file in sorted(root.iterdir())]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with Detector([model], params=tiny_params(engine="openvino")) as detector:
        of_scan = [detector.judge(file).p_fake for file in sorted(root.iterdir())]
    printed = json.loads(done.stdout)
    assert printed == pytest.approx(of_scan, abs=1e-6) and printed != pytest.approx(of_worker, abs=1e-3)


def test_the_stage_score_uses_the_cards_alone(tmp_path: Path, exported_models: list[Path]) -> None:
    root, model = write_many(tmp_path / "in", 7), exported_models[1]
    numbers = tiny_params(engine="openvino")
    score_folder.score_folder(root, [model], numbers, tmp_path / "before")
    own(model)
    score_folder.score_folder(root, [model], numbers, tmp_path / "after")
    for table in ("media.parquet", "scores.parquet"):
        assert (tmp_path / "after" / table).read_bytes() == (tmp_path / "before" / table).read_bytes()


def test_the_members_of_an_ensemble_are_calibrated_as_it_was_fitted(tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "golden" / "b7ea7d3" / "ensembles" / "logistic"
    before = settings.read(tiny_params(), [golden])
    for card in before.cards:
        user_calibrations.write(card, OWN, "/photos")
    assert settings.read(tiny_params(), [golden]) == before


def test_settings_that_travel_keep_their_calibrations(tmp_path: Path, config: Path) -> None:
    folders = stub_cards(tmp_path / "models")
    own(folders[0])
    chosen = settings.read(tiny_params(), folders)
    sent = pickle.loads(pickle.dumps(chosen.resolved()))
    assert sent == chosen.resolved() and hash(sent) == hash(chosen.resolved())
    assert sent.in_use(models.read_card(folders[0])).calibration == OWN
    assert replace(sent, user_calibrations={}) != sent
