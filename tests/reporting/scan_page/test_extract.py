"""The extract of a scan's page equals what the tables say, and shows no file that has changed since."""

import base64
import shutil
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from support.scanned import HOSTILE, Scanned
from support.scanning import stub_cards, tiny_params, write_evaluations

from fauxscan import disk
from fauxscan.records import ModelError, ResultsError, Status
from fauxscan.reporting.scan_page import cards, contents, judged_by, make, pictures
from fauxscan.reporting.scan_page.contents import Extract
from fauxscan.reporting.scan_page.remedies import REMEDIES
from fauxscan.scanning.inputs import roots
from fauxscan.scanning.tables import evaluations, queries
from fauxscan.shipped import sets

REAL_SETS = Path(sets.__file__).parent


@pytest.fixture(scope="module")
def extract(scanned: Scanned) -> Extract:
    """Return the extract of the latest run."""
    return scanned.extract()


def rows(scanned: Scanned) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = queries.latest(scanned.results).to_pylist()
    return found


def test_files_and_counts_are_those_of_the_tables(scanned: Scanned, extract: Extract) -> None:
    expected = rows(scanned)
    same = [name for name in contents.File.model_fields if name not in ("path_hex", "change", "settings")]
    shown = {file.path + (file.path_hex or ""): file for file in extract.files}
    for row in expected:
        file = shown[row["path"] + (row["path_bytes"].hex() if row["path_bytes"] else "")]
        assert {name: getattr(file, name) for name in same} == {name: row[name] for name in same}
    assert extract.total == len(expected) == len(shown)
    with queries.open_tables(scanned.results) as tables:
        run = tables.run("latest")
    assert extract.run.model_dump() == {name: run[name] for name in contents.Run.model_fields}
    assert extract.statuses == {str(status): run[f"status_{status}"] for status in Status if run[f"status_{status}"]}
    assert extract.verdicts == {verdict: run[f"verdict_{verdict}"] for verdict in extract.verdicts}
    assert sum(extract.verdicts.values()) > 5


def test_only_files_with_a_row_of_this_run_have_a_change(extract: Extract) -> None:
    changed = {file.path: file.change for file in extract.files if file.change}
    assert changed.pop("later.png") == "new"
    assert changed.pop("a/cat.png") == "changed"
    assert all(file.status != Status.OK for file in extract.files if file.path in changed)  # which are tried again


def test_an_earlier_run_is_shown_as_it_was(scanned: Scanned) -> None:
    before = scanned.extract("previous")
    names = {file.path for file in before.files}
    assert "cut.jpg" in names
    assert "later.png" not in names
    assert before.since is None
    assert len(before.distributions) == 1


def test_what_is_new_is_what_diff_lists(scanned: Scanned, extract: Extract) -> None:
    with queries.open_tables(scanned.results) as tables:
        expected = tables.differences("previous", "latest").read_all().to_pylist()
    since = extract.since
    assert since
    assert {(one.path, one.difference) for one in since.files} == {(r["path"], r["difference"]) for r in expected}
    assert since.counts == Counter(row["difference"] for row in expected)
    assert since.total == len(expected) >= 3
    assert since.files[-1].difference == "removed"


def test_suspicious_files_come_in_the_order_of_top_and_each_content_once(scanned: Scanned, extract: Extract) -> None:
    top = [row for row in rows(scanned) if row["p_fake"] is not None]
    top.sort(key=lambda row: (-row["p_fake"], row["path"]))
    expected = list(dict.fromkeys(row["sha256"] for row in top))
    assert [item.sha256 for item in extract.suspicious] == expected
    assert len(expected) < len(top)  # the folder has a copy


def test_scores_of_models_and_boxes_are_those_of_the_tables(scanned: Scanned, extract: Extract) -> None:
    with queries.open_tables(scanned.results) as tables:
        face = next(item for item in extract.suspicious if item.path == "copy of face.jpg")
        stored = tables.scores([face.sha256], [extract.run.settings]).read_all().to_pylist()
    of_faces = [row for row in stored if row["face"] is not None]
    boxes = face.pictures[0].boxes
    assert [(box.x, box.y, box.w, box.h) for box in boxes] == [(r["x"], r["y"], r["w"], r["h"]) for r in of_faces]
    assert {score.model: score.p_fake for score in face.scores} == pytest.approx(
        {model: max(row["p_fake"] for row in stored if row["model"] == model) for model in ("faces", "wholes")}
    )


def test_a_video_has_its_tracks_and_the_frames_at_the_peaks(scanned: Scanned, extract: Extract) -> None:
    (video,) = extract.videos
    with queries.open_tables(scanned.results) as tables:
        stored = tables.scores([video.sha256], [extract.run.settings]).read_all().to_pylist()
    assert sum(len(track.times_s) for track in video.tracks) == len(stored)
    of_faces = [track for track in video.tracks if track.model == "faces"]
    assert of_faces
    assert of_faces[0].p_fake == tuple(
        row["p_fake"] for row in stored if row["model"] == "faces" and row["track"] == of_faces[0].track
    )
    assert video.pictures
    assert all(one.jpeg and one.time_s is not None for one in video.pictures)


def test_pictures_are_small_jpegs_and_say_how_large_the_image_is(extract: Extract) -> None:
    face = next(item for item in extract.suspicious if item.path == "copy of face.jpg")
    (picture,) = face.pictures
    assert (picture.width, picture.height) == (512, 512)
    assert picture.jpeg
    with Pillow.open(BytesIO(base64.b64decode(picture.jpeg))) as image:
        assert (image.format, image.size) == ("JPEG", (pictures.SIDE, pictures.SIDE))
    assert all(picture.jpeg for item in extract.suspicious for picture in item.pictures)


def test_a_file_that_has_changed_or_is_gone_is_not_shown(scanned: Scanned, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = {"kept": "kept.jpg", "changed": "changed.jpg", "gone": "gone.jpg"}
    for name in names.values():
        shutil.copy(scanned.folder / "face.jpg", folder / name)
    sha256 = next(row["sha256"] for row in rows(scanned) if row["path"] == "face.jpg")
    with (folder / "changed.jpg").open("ab") as file:
        file.write(b"\0")
    (folder / "gone.jpg").unlink()
    wanted = [pictures.Wanted(name.encode(), sha256, frozenset({0})) for name in names.values()]
    found = [pictures.Reader(roots.root_at(folder), scanned.settings).read([one])[sha256, 0] for one in wanted]
    assert isinstance(found[0], pictures.Seen)
    assert found[1] == pictures.CHANGED
    assert "No such file" in str(found[2])


def test_the_bytes_of_all_pictures_are_capped(scanned: Scanned) -> None:
    listed = {row["path"]: row["sha256"] for row in rows(scanned)}
    names = ("face.jpg", "a/b/crop.jpg", "later.png")
    wanted = [pictures.Wanted(name.encode(), listed[name], frozenset({0})) for name in names]
    found = pictures.Reader(roots.root_at(scanned.folder), scanned.settings, most_bytes=1).read(wanted)
    assert [one if isinstance(one, str) else "shown" for one in found.values()] == ["shown"] + [pictures.ENOUGH] * 2


def test_a_crash_of_the_decoder_costs_one_picture(
    scanned: Scanned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures.in_decoder, "MODULE", "support.hostile_decoder")
    (tmp_path / "bad.jpg").write_bytes((scanned.folder / "face.jpg").read_bytes() + b"SEGV")
    sha256 = disk.digest(tmp_path / "bad.jpg")
    reader = pictures.Reader(roots.root_at(tmp_path), scanned.settings)
    found = reader.read([pictures.Wanted(b"bad.jpg", sha256, frozenset({0}))])
    assert "ended by SIGSEGV" in str(found[sha256, 0])


def test_each_reason_of_a_failure_has_its_count_and_a_remedy(scanned: Scanned, extract: Extract) -> None:
    failed = Counter((row["status"], row["detail"]) for row in rows(scanned) if row["status"] != Status.OK)
    assert {(one.status, one.detail): one.files for one in extract.failures} == failed
    assert all(one.remedy and one.examples for one in extract.failures)
    assert set(REMEDIES) == set(Status) - {Status.OK}


def test_distributions_count_every_score_of_each_run(scanned: Scanned, extract: Extract) -> None:
    now, before = extract.distributions
    assert now.run_id == extract.run.run_id
    assert sum(now.files) == sum(extract.verdicts.values())
    expected = Counter(min(int(row["p_fake"] * 20), 19) for row in rows(scanned) if row["p_fake"] is not None)
    assert {part: count for part, count in enumerate(now.files) if count} == expected
    assert sum(before.files) == sum(scanned.extract("previous").verdicts.values())


def test_models_have_what_their_cards_and_publications_say(scanned: Scanned, tmp_path: Path) -> None:
    results = shutil.copytree(scanned.results, tmp_path / "results")
    write_evaluations(tmp_path, {"faces": "a" * 64})
    evaluations.publish(tmp_path, results, "c0ffee" * 6)
    extract = make.make(results, "latest", cards.of_settings(scanned.settings), scanned.settings)
    faces, wholes = extract.models
    assert (faces.name, faces.model_digest, faces.high, faces.low) == ("faces", "a" * 64, 0.7, 0.3)
    assert faces.figures[0].data == "twins"
    assert faces.figures[0].source.endswith("revision c0ffeec0")
    assert judged_by.FACES_ONLY in faces.cannot_tell
    assert judged_by.NO_PLACE in wholes.cannot_tell
    assert {one.name: one.value for one in extract.settings}["faces"] == "auto"


def test_the_settings_of_a_run_are_found_by_their_digest(scanned: Scanned, tmp_path: Path) -> None:
    folders = [str(folder) for folder in stub_cards(tmp_path / "models")]
    found = make.find(scanned.results, "latest", tiny_params(), folders)
    assert found.settings
    assert not found.notes
    other = make.find(scanned.results, "latest", tiny_params(media={"max_seconds": 1.0}), folders)
    assert other.settings == ()
    assert other.models == found.models
    assert other.notes == (make.UNKNOWN_SETTINGS,)


def test_without_cards_the_page_says_so_and_a_wrong_name_is_an_error(scanned: Scanned) -> None:
    found = make.find(scanned.results, "latest", tiny_params())
    assert [model.card for model in found.models] == [False, False]
    assert make.NO_CARD.format(names="faces, wholes") in found.notes
    with pytest.raises(ModelError, match="unknown model set 'nowhere'"):
        make.find(scanned.results, "latest", tiny_params(), ["nowhere"])


def test_an_extract_is_read_as_it_was_saved(extract: Extract, tmp_path: Path) -> None:
    contents.save(extract, tmp_path / "page.json")
    assert contents.load(tmp_path / "page.json") == extract
    assert HOSTILE in (tmp_path / "page.json").read_text(encoding="utf-8")
    (tmp_path / "page.json").write_text('{"version": 99}', encoding="utf-8")
    with pytest.raises(ResultsError, match="make the page again"):
        contents.load(tmp_path / "page.json")


@pytest.mark.parametrize("folder", [one for one in sorted(REAL_SETS.iterdir()) if (one / "README.md").is_file()])
def test_the_readme_of_a_shipped_set_is_understood(folder: Path) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")
    figures = list(judged_by._figures(page))
    assert len(figures) > 5
    assert {figure.degradation for figure in figures} == {"none", "jpeg60"}
    assert all(judged_by.section(page, heading) for heading in (judged_by.FAILURES, judged_by.NOT_FOR))
