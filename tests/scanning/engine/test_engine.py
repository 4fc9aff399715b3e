"""What becomes of one file: its status, its rows, and what a fault of the file or of a model does."""

import math
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.hostile import encoded, smooth
from support.hostile_bombs import chunk
from support.scanning import (
    MediaDecoder,
    Stub,
    stub_engine,
    stub_ensemble,
    tiny_params,
    write_clip,
    write_folder,
    write_many,
)
from support.videos import encoded_video, in_black, mux

from fauxscan import models
from fauxscan.judging.aggregation import media_logit
from fauxscan.judging.ensemble import Dense, Ensemble, EnsembleCard
from fauxscan.media import files
from fauxscan.media.images import colour, jpeg
from fauxscan.models import Evidence
from fauxscan.records import Status, UserError, Verdict
from fauxscan.reporting import scans
from fauxscan.scanning import scan, settings
from fauxscan.scanning.decoding import worker
from fauxscan.scanning.engine import outcomes
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.inputs.roots import LocalFolder
from fauxscan.scanning.rows import Entry, Outcome
from fauxscan.scanning.tables import parquet, queries, schemas

EXPECTED = {
    "face.jpg": "ok",
    "copy of face.jpg": "ok",
    "a/cat.png": "ok",
    "a/b/crop.jpg": "ok",
    "a/b/lying.jpg": "ok",
    "a/clip.mp4": "ok",
    "black.png": "ok",
    "=cmd('calc')!A0.png": "ok",
    "new\nline.png": "ok",
    "not utf-8 \ufffd.png": "ok",
    "small.png": "too_small",
    "dot.png": "too_small",
    "empty.jpg": "corrupt",
    "cut.jpg": "truncated",
    "notes.txt": "unsupported",
    "a/pipe.jpg": "unsupported",
    "a/loop": "unsupported",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file of every kind."""
    return write_folder(tmp_path_factory.mktemp("engine") / "in")


def states(root: Path, results: Path, engine: Engine) -> dict[str, dict[str, Any]]:
    """Return the row of each path after a scan."""
    scan.scan(root, results, engine)
    return {row["path"]: row for row in queries.latest(results).to_pylist()}


def judge(engine: Engine, folder: Path, *names: str) -> list[Outcome]:
    """Return the outcomes of files."""
    entries = [Entry(name, None, None) for name in names]
    with engine:
        return engine.judge(LocalFolder(folder), entries)


def test_every_file_has_its_status_and_only_judged_ones_a_score(root: Path, tmp_path: Path) -> None:
    rows = states(root, tmp_path / "results", stub_engine(tmp_path / "models"))
    assert {path: row["status"] for path, row in rows.items()} == EXPECTED
    for row in rows.values():
        judged = row["status"] == "ok"
        assert (row["p_fake"] is not None) == (row["verdict"] is not None) == judged
        assert judged or row["detail"]
    assert rows["a/b/lying.jpg"]["format"] == "png"
    clip = rows["a/clip.mp4"]
    assert (clip["kind"], clip["width"], clip["height"], clip["duration_s"]) == ("video", 192, 160, 2.0)
    assert (clip["seconds_seen"], clip["detail"]) == (2.0, None)
    assert {row["seconds_seen"] for row in rows.values() if row["kind"] != "video"} == {None}
    assert rows["face.jpg"]["faces"] == 1
    assert rows["a/cat.png"]["faces"] == 0


def test_of_a_long_video_the_row_says_how_much_was_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_clip(folder / "face.mp4")
    with av.open(str(folder / "none.mp4"), "w") as out:
        small, large = (encoded_video(out, "libx264", in_black((size, size), 30)) for size in (48, 64))
        mux(out, small + large)
    (folder / "cut.mp4").write_bytes((folder / "face.mp4").read_bytes()[:-3000])
    rows = states(
        folder, tmp_path / "results", stub_engine(tmp_path / "models", only="faces", media={"max_seconds": 1})
    )
    unseen = "only the first 1 s of 2 s were looked at"
    assert (rows["face.mp4"]["status"], rows["face.mp4"]["seconds_seen"]) == ("ok", 1.0)
    assert unseen in rows["face.mp4"]["detail"].split("; ")
    assert (rows["none.mp4"]["status"], rows["none.mp4"]["seconds_seen"]) == ("no_face", 1.0)
    said = [outcomes.NO_FACE, "only the first 1 s of 3 s were looked at", "1 other video track was not judged"]
    assert rows["none.mp4"]["detail"].split("; ") == said
    assert (rows["cut.mp4"]["status"], rows["cut.mp4"]["seconds_seen"]) == ("truncated", None)


def test_without_a_model_for_whole_images_what_has_no_face_is_not_judged(root: Path, tmp_path: Path) -> None:
    rows = states(root, tmp_path / "results", stub_engine(tmp_path / "models", only="faces"))
    found = {path for path, row in rows.items() if row["status"] == "no_face"}
    assert found == {path for path, status in EXPECTED.items() if status == "ok"} - {
        "face.jpg", "copy of face.jpg", "a/b/crop.jpg", "a/clip.mp4",
    }  # fmt: skip
    assert all(rows[path]["p_fake"] is None and rows[path]["verdict"] is None for path in found)


def test_faces_whole_takes_every_image_as_a_crop(root: Path, tmp_path: Path) -> None:
    rows = states(root, tmp_path / "results", stub_engine(tmp_path / "models", mode="whole", only="faces"))
    assert {path: row["status"] for path, row in rows.items()} == EXPECTED
    scores = parquet.read(tmp_path / "results", schemas.SCORES).to_pylist()
    assert {row["face"] for row in scores} == {row["x"] for row in scores} == {None}


def test_the_judgement_of_a_media_follows_from_its_rows(root: Path, tmp_path: Path) -> None:
    rows = states(root, tmp_path / "results", stub_engine(tmp_path / "models"))
    scores = parquet.read(tmp_path / "results", schemas.SCORES).to_pylist()
    for path in ("a/clip.mp4", "face.jpg", "a/cat.png"):
        logits = []
        for model in ("faces", "wholes"):
            of = [row for row in scores if row["sha256"] == rows[path]["sha256"] and row["model"] == model]
            if of:
                logits.append(media_logit([row["logit"] for row in of], [row["track"] for row in of]) / 1.5)
        assert rows[path]["p_fake"] == pytest.approx(1 / (1 + math.exp(-np.mean(logits))), abs=1e-6)
    frames = [row for row in scores if row["sha256"] == rows["a/clip.mp4"]["sha256"] and row["model"] == "wholes"]
    assert [(row["frame"], row["time_s"]) for row in frames] == [(0, 0.0), (25, 1.0)]


def test_a_logit_that_is_no_number_is_an_invalid_score_and_null_in_the_tables(root: Path, tmp_path: Path) -> None:
    class Spoilt(Stub):
        def scorer(self, batch: int) -> Any:
            return lambda images: np.full(len(images), np.inf, np.float32)

    spoilt = lambda chosen: Ensemble(tuple(Spoilt(model.card) for model in stub_ensemble(chosen).members))
    rows = states(root, tmp_path / "results", Engine(stub_engine(tmp_path / "models").settings, spoilt, MediaDecoder))
    assert {row["status"] for path, row in rows.items() if EXPECTED[path] == "ok"} == {"invalid_score"}
    assert {row["p_fake"] for row in rows.values()} == {None}
    scores = parquet.read(tmp_path / "results", schemas.SCORES)
    assert len(scores) > 0
    assert scores["logit"].null_count == scores["p_fake"].null_count == len(scores)


def test_a_surprise_in_one_file_is_that_files_row_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = worker.decode_media

    def stumbling(content: Any, *rest: Any) -> Any:
        if content.size == (root / "black.png").stat().st_size:
            raise ZeroDivisionError("division by zero")
        return really(content, *rest)

    monkeypatch.setattr(worker, "decode_media", stumbling)
    rows = states(root, tmp_path / "results", stub_engine(tmp_path / "models"))
    assert (rows["black.png"]["status"], rows["black.png"]["detail"]) == ("crashed", "builtins.ZeroDivisionError")
    assert {path: row["status"] for path, row in rows.items()} == EXPECTED | {"black.png": "crashed"}


def test_a_surprise_in_a_model_ends_the_scan(root: Path, tmp_path: Path) -> None:
    class Broken(Stub):
        def scorer(self, batch: int) -> Any:
            return lambda images: 1 / 0

    broken = lambda chosen: Ensemble(tuple(Broken(model.card) for model in stub_ensemble(chosen).members))
    with pytest.raises(ZeroDivisionError):
        scan.scan(root, tmp_path / "results", Engine(stub_engine(tmp_path / "models").settings, broken, MediaDecoder))


def test_after_an_error_the_same_files_can_be_judged_again(tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 120)
    failed: list[bool] = []

    def load(chosen: settings.Settings) -> Ensemble:
        if not failed:
            failed.append(True)
            raise OSError(28, "No space left on device")
        return stub_ensemble(chosen)

    engine = Engine(stub_engine(tmp_path / "models", only="wholes").settings, load, MediaDecoder)
    names = [f"{number:03d}.png" for number in range(120)]
    with pytest.raises(OSError, match="No space left"):
        judge(engine, root, *names)
    assert {found.status for found in judge(engine, root, *names)} == {Status.OK}


def test_a_file_deleted_before_its_turn_is_unreadable(tmp_path: Path) -> None:
    (found,) = judge(stub_engine(tmp_path), tmp_path, "gone.jpg")
    assert (found.status, found.sha256) == (Status.UNREADABLE, None)


def test_a_file_that_grows_while_it_is_read_is_not_scored(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(root / "face.jpg", tmp_path / "growing.jpg")
    really = files._read

    def growing(*arguments: Any) -> Any:
        with (tmp_path / "growing.jpg").open("ab") as file:
            file.write(b"more")
        return really(*arguments)

    monkeypatch.setattr(files, "_read", growing)
    (found,) = judge(stub_engine(tmp_path / "models"), tmp_path, "growing.jpg")
    assert (found.status, found.sha256, found.p_fake) == (Status.CHANGED_DURING_READ, None, None)


def test_a_duplicate_of_a_file_that_changed_is_judged_itself(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one.jpg", "two.jpg"):
        shutil.copy(root / "face.jpg", tmp_path / name)
    really, touched = files._read, []

    def touching(*arguments: Any) -> Any:
        if not touched:  # the first of the two to be looked at: with one thread that is one.jpg
            touched.append(os.utime(tmp_path / "one.jpg", ns=(1, 1)))
        return really(*arguments)

    monkeypatch.setattr(files, "_read", touching)
    one, two = judge(stub_engine(tmp_path / "models", workers=1), tmp_path, "one.jpg", "two.jpg")
    assert (one.status, two.status) == (Status.CHANGED_DURING_READ, Status.OK)
    assert two.p_fake is not None


def test_a_video_that_breaks_off_keeps_no_rows(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=150)
    whole = (tmp_path / "clip.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    entries = [Entry("cut.mp4", None, None)]
    with stub_engine(tmp_path / "models") as engine:
        (found,) = engine.judge(LocalFolder(tmp_path), entries)
    assert (found.status in (Status.TRUNCATED, Status.CORRUPT), found.p_fake, list(found.scores)) == (True, None, [])


def test_a_model_of_the_demo_judges_all_uncertain_and_says_why(root: Path, tmp_path: Path) -> None:
    chosen = stub_engine(tmp_path / "models").settings
    proofs = replace(chosen, cards=tuple(map(_of_the_demo, chosen.cards)))
    engine = Engine(proofs, lambda known: Ensemble(tuple(map(Stub, known.cards))), MediaDecoder)  # type: ignore[arg-type]
    (found,) = judge(engine, root, "black.png")
    assert found.verdict == Verdict.UNCERTAIN
    assert "demo" in (found.detail or "")


def test_defects_that_are_passed_over_are_in_the_detail_after_the_reason(tmp_path: Path) -> None:
    data = encoded(smooth(96, 96), "PNG", icc_profile=b"no profile")
    (tmp_path / "odd.png").write_bytes(data[:33] + chunk(b"tEXt", b"a\0b")[:-4] + bytes(4) + data[33:])
    (tmp_path / "pano.jpg").write_bytes(encoded(smooth(96, 96), "JPEG")[:-2])
    defects = f"chunks with a wrong checksum are ignored: tEXt; {colour.IGNORED}"
    odd, pano = judge(stub_engine(tmp_path / "models"), tmp_path, "odd.png", "pano.jpg")
    assert [(one.status, one.detail) for one in (odd, pano)] == [(Status.OK, defects), (Status.OK, jpeg.NO_END)]
    (unseen,) = judge(stub_engine(tmp_path / "models", only="faces"), tmp_path, "odd.png")
    assert (unseen.status, unseen.detail) == (Status.NO_FACE, f"{outcomes.NO_FACE}; {defects}")
    chosen = stub_engine(tmp_path / "models").settings
    proofs = replace(chosen, cards=tuple(map(_of_the_demo, chosen.cards)))
    demo = Engine(proofs, lambda known: Ensemble(tuple(map(Stub, known.cards))), MediaDecoder)  # type: ignore[arg-type]
    (uncertain,) = judge(demo, tmp_path, "pano.jpg")
    assert "demo" in (uncertain.detail or "") and (uncertain.detail or "").endswith(f"; {jpeg.NO_END}")


def test_a_model_that_knows_too_little_gives_no_verdict_in_a_scan(root: Path, tmp_path: Path) -> None:
    folders = stub_engine(tmp_path / "models").settings.folders
    before = settings.read(tiny_params(), folders)
    evidence = Evidence(
        real_sources=40, fake_sources=40, auc=0.445, auc_low=0.3, auc_high=0.6, confidence=0.95, noise=None
    )
    card = models.read_card(folders[1])
    assert card.calibration is not None
    fitted = card.calibration.model_copy(update={"evidence": evidence})
    models.write_card(folders[1], card.model_copy(update={"calibration": fitted}))
    chosen = settings.read(tiny_params(), folders)
    assert chosen.digest != before.digest, "or a scan would leave the verdicts of earlier ones"
    rows = states(root, tmp_path / "results", Engine(chosen, stub_ensemble, MediaDecoder))
    assert rows["face.jpg"]["verdict"] == Verdict.UNCERTAIN and rows["face.jpg"]["p_fake"] is not None
    assert rows["face.jpg"]["detail"].startswith("wholes gives no verdict: its AUC on calibration data is 0.445")
    assert "wholes gives no verdict" in (scans.uncertain_warning(chosen) or "")
    assert scans.uncertain_warning(before) is None


def _of_the_demo(card: Any) -> Any:
    return card.model_copy(update={"trained_on": card.trained_on.model_copy(update={"proof_of_machinery": True})})


def test_settings_change_with_what_changes_a_judgement_and_with_nothing_else(tmp_path: Path) -> None:
    engine = stub_engine(tmp_path)
    base, folders, whole = engine.settings, engine.settings.folders, tiny_params()
    read = lambda params=whole, folders=folders, mode="auto": settings.read(params, folders, mode).digest
    assert read() == base.digest
    assert read(folders=folders[::-1]) == base.digest
    assert read(params=whole.model_copy(update={"seed": 99})) == base.digest
    assert read(mode="whole") != base.digest
    assert read(folders=folders[:1]) != base.digest
    assert (
        read(params=whole.model_copy(update={"media": whole.media.model_copy(update={"max_frames": 1})})) != base.digest
    )
    assert len(base.digest) >= 12


def ensemble(home: Path, **digests: str) -> Path:
    """Write an ensemble of the stand-ins, the second of which counts three times the first."""
    members = stub_engine(home / "members").settings.cards
    card = EnsembleCard(
        name="both",
        method="logistic",
        dataset="none",
        layers=(Dense(kernel=((0.25,), (0.75,)), bias=(0.1,)),),
        digests={member.name: member.model_digest for member in members} | digests,
        calibration=members[0].calibration or pytest.fail("the stand-ins are calibrated"),
        proof_of_machinery=False,
    )
    (home / "ensemble.json").write_text(card.model_dump_json())
    return home


def test_an_ensemble_joins_its_members(root: Path, tmp_path: Path) -> None:
    chosen = settings.read(tiny_params(), [ensemble(tmp_path / "both")])
    rows = states(root, tmp_path / "results", Engine(chosen, stub_ensemble, MediaDecoder))
    scores = parquet.read(tmp_path / "results", schemas.SCORES).to_pylist()
    logit = {row["model"]: row["logit"] for row in scores if row["sha256"] == rows["face.jpg"]["sha256"]}
    z = (0.1 + 0.25 * logit["faces"] / 1.5 + 0.75 * logit["wholes"] / 1.5) / 1.5
    assert rows["face.jpg"]["p_fake"] == pytest.approx(1 / (1 + math.exp(-z)), abs=1e-6)
    (run,) = parquet.read(tmp_path / "results", schemas.RUNS).to_pylist()
    assert [model["name"] for model in run["models"]] == ["faces", "wholes", "both"]


def test_an_ensemble_fitted_on_other_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fitted on other weights of wholes"):
        settings.read(tiny_params(), [ensemble(tmp_path / "both", wholes="c" * 64)])


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    folders = stub_engine(tmp_path).settings.folders
    with pytest.raises(UserError, match="two models have the same name"):
        settings.read(tiny_params(), [folders[0], folders[0]])


def test_without_any_model_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"--models; `fauxscan train` writes one .pip install .*, or copy one"):
        settings.read(tiny_params())
    (tmp_path / "dvc.yaml").touch()  # a project
    with pytest.raises(UserError, match=r"--models; `make repro` trains those of params\.yaml"):
        settings.read(tiny_params())


def test_the_models_of_the_dag_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_engine(tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    assert [card.name for card in settings.read(tiny_params()).cards] == ["faces", "wholes"]
