"""The page of a scan: its extract against the tables, its pictures, and the page itself in a browser."""

import base64
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from support.scanning import stub_engine, tiny_params, write_folder

from fauxscan import cli
from fauxscan.records import ResultsError, Status, UserError, Verdict
from fauxscan.reporting.scan_page import charts, extract, page, pdf, words
from fauxscan.scanning import scan
from fauxscan.scanning.tables import parquet, queries, schemas

pytest_plugins = ["support.browser"]
OpenPage = Callable[..., tuple[Page, list[str]]]
MARKUP = "<img src=x onerror=alert(1)>.png"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with files, results of two scans, and the page of the second one."""
    home = tmp_path_factory.mktemp("page")
    root, engine = write_folder(home / "in"), stub_engine(home / "models")
    shutil.copy(root / "a" / "cat.png", root / MARKUP)
    scan.scan(root, home / "results", engine)
    (root / "new.png").write_bytes((root / "a" / "b" / "lying.jpg").read_bytes() + b"more")
    (root / "black.png").unlink()
    scan.scan(root, home / "results", engine)
    page.write(home / "results", home / "page.html", tiny_params())
    return home


@pytest.fixture(scope="module")
def shown(home: Path) -> dict[str, Any]:
    """Return the extract beside the page."""
    return dict(json.loads((home / "page.json").read_text(encoding="utf-8")))


def test_the_extract_has_what_the_tables_have(home: Path, shown: dict[str, Any]) -> None:
    rows = queries.latest(home / "results").to_pylist()
    runs = parquet.read(home / "results", schemas.RUNS).sort_by("run_id").to_pylist()
    assert [shown["run"]["before"], shown["run"]["run_id"]] == [run["run_id"] for run in runs]
    assert shown["counts"]["status"] == Counter(row["status"] for row in rows)
    assert shown["counts"]["verdict"] == Counter(row["verdict"] for row in rows if row["verdict"])
    assert {file["path"]: file["p_fake"] for file in shown["files"]} == {row["path"]: row["p_fake"] for row in rows}
    scored = [row for row in rows if row["p_fake"] is not None]
    assert sum(shown["histogram"]["now"]) == len(scored)
    highest = sorted((row["p_fake"] for row in scored), reverse=True)
    assert [file["p_fake"] for file in shown["suspicious"]] == highest[: extract.MOST_SUSPICIOUS]
    assert {change["path"]: change["difference"] for change in shown["changes"]["files"]} == {
        "new.png": "added", "black.png": "removed",
    }  # fmt: skip


def test_each_suspicious_file_has_the_scores_of_each_model(home: Path, shown: dict[str, Any]) -> None:
    scores = parquet.read(home / "results", schemas.SCORES).to_pylist()
    for file in shown["suspicious"]:
        own = [
            one["p_fake"] for one in scores if (one["sha256"], one["settings"]) == (file["sha256"], file["settings"])
        ]
        assert max(track["highest"] for track in file["tracks"]) == max(own)
        assert sum(track["frames"] for track in file["tracks"]) == len(own)
    (clip,) = shown["videos"]
    assert clip["path"] == "a/clip.mp4"
    assert all(track["timeline"] == sorted(track["timeline"]) and track["timeline"] for track in clip["tracks"])


def test_an_earlier_run_is_shown_as_it_was(home: Path, shown: dict[str, Any]) -> None:
    first = extract.read(home / "results", tiny_params(), shown["run"]["before"])
    paths = {file["path"] for file in first["files"]}
    assert "black.png" in paths and "new.png" not in paths
    assert first["run"]["before"] is None and first["histogram"]["before"] is None
    with pytest.raises(ResultsError, match="matches no run"):
        extract.read(home / "results", tiny_params(), "1999")


def test_pictures_are_of_the_files(home: Path, shown: dict[str, Any]) -> None:
    by_path = {file["path"]: file["picture"] for file in shown["suspicious"]}
    cat = by_path["a/cat.png"]
    jpeg = cv2.imdecode(np.frombuffer(base64.b64decode(cat["jpeg"]), np.uint8), cv2.IMREAD_COLOR)
    original = cv2.imread(str(home / "in" / "a" / "cat.png"))
    assert (cat["height"], cat["width"]) == original.shape[:2]
    expected = cv2.resize(original, jpeg.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(jpeg.astype(float) - expected).mean() < 8
    assert "jpeg" in shown["videos"][0]["picture"]


def test_a_file_that_is_not_what_was_judged_is_not_shown(home: Path, tmp_path: Path) -> None:
    root = shutil.copytree(
        home / "in", tmp_path / "in", symlinks=True, ignore=lambda _, names: {"pipe.jpg"} & set(names)
    )
    results = tmp_path / "results"
    scan.scan(root, results, stub_engine(tmp_path / "models", only="wholes"))
    with (root / "face.jpg").open("ab") as file:
        file.write(b"more")
    (root / "a" / "cat.png").unlink()
    found = {file["path"]: file["picture"] for file in extract.read(results, tiny_params())["suspicious"]}
    assert "has changed" in found["face.jpg"]["missing"]
    assert "cannot be read again" in found["a/cat.png"]["missing"]
    assert "jpeg" in found["copy of face.jpg"]


def test_the_last_pages_are_kept(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = shutil.copytree(home / "results", tmp_path / "results")
    monkeypatch.setattr(page, "KEPT", 2)
    folder = results / page.FOLDER
    folder.mkdir()
    for name in ("1.html", "1.json", "2.html", "2.json"):
        (folder / name).write_text("old")
    run = queries.latest(results)["run_id"][0].as_py()
    assert page.write_kept(results, tiny_params(), run) == folder / f"{run}.html"
    assert {path.name for path in folder.iterdir()} == {"2.html", "2.json", f"{run}.html", f"{run}.json"}


def test_every_status_and_verdict_has_words() -> None:
    assert set(words.REMEDIES) == set(Status) - {Status.OK}
    assert set(words.VERDICTS) == set(Verdict)


def test_a_histogram_has_the_number_of_files_in_each_part() -> None:
    counts = extract.histogram([{"p_fake": value} for value in (0.0, 0.049, 0.05, 0.5, 1.0, None)])
    assert (counts[0], counts[1], counts[10], counts[19], sum(counts)) == (2, 1, 1, 1, 5)
    drawn = charts.histogram(counts, "<a>")
    assert drawn.count('class="bar"') == extract.BINS and "0.00 to 0.05: 2" in drawn and "&lt;a&gt;" in drawn


def test_the_command_writes_the_page_and_says_where(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["report", str(home / "results"), "--out", str(tmp_path / "out" / "p.html")]) == 0
    assert "p.json" in capsys.readouterr().out and (tmp_path / "out" / "p.html").is_file()
    assert cli.run(["report", str(home / "results"), "--out", str(tmp_path / "p.pdf")]) == 3
    assert "does not end in .html" in capsys.readouterr().err
    assert cli.run(["report", str(tmp_path / "nowhere")]) == 3


# === In a browser ===


@pytest.mark.usefixtures("browser")  # for which there must be a Chromium
def test_the_page_is_printed_to_pdf(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", str(home / "results"), "--out", str(tmp_path / "p.html"), "--pdf"]) == 0
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF-") and "p.pdf" in capsys.readouterr().out


def test_without_a_browser_the_message_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="Install one, such as with `apt install chromium`, or open"):
        pdf.write(home / "page.html", home / "page.pdf")


def cells(shown: Any, column: int) -> list[str]:
    """Return the text of a column of the list of files, as it is shown."""
    return [str(text) for text in shown.locator(f"#files tbody td:nth-child({column})").all_inner_texts()]


@pytest.mark.parametrize("width", [390, 700, 1280, 1920])
def test_nothing_is_asked_of_a_network_and_nothing_is_cut_off(open_page: OpenPage, home: Path, width: int) -> None:
    shown, faults = open_page(home / "page.html", width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    sizes = "[...document.querySelectorAll('svg text')].map((one) => one.getBoundingClientRect().height)"
    assert min(shown.evaluate(sizes)) >= 12
    assert faults == []


def test_a_name_with_markup_is_text(open_page: OpenPage, home: Path) -> None:
    shown, faults = open_page(home / "page.html")
    assert MARKUP in cells(shown, 1) and shown.locator("h3", has_text=MARKUP).count() == 1
    assert shown.locator("img[src=x]").count() == 0 and faults == []


def test_files_are_sorted_filtered_searched_and_paged(open_page: OpenPage, home: Path, shown: dict[str, Any]) -> None:
    seen, faults = open_page(home / "page.html")
    scores = [float(text) for text in cells(seen, 3) if text]
    assert scores == sorted(scores, reverse=True) and len(cells(seen, 1)) == len(shown["files"])
    seen.locator("#files th button", has_text="path").focus()
    seen.keyboard.press("Enter")
    assert cells(seen, 1)[0] == min(file["path"] for file in shown["files"])
    assert seen.locator("#files th").first.get_attribute("aria-sort") == "ascending"
    seen.select_option("select[data-column=status]", "truncated")
    assert set(cells(seen, 4)) == {"truncated"} and "of 1 files" in seen.inner_text("#shown")
    seen.select_option("select[data-column=status]", "")
    seen.fill("#search", "CAT.PNG")
    assert cells(seen, 1) == ["a/cat.png"]
    assert seen.locator("#next").is_disabled() and faults == []


def test_it_is_light_or_dark_and_prints_without_buttons(open_page: OpenPage, home: Path) -> None:
    shown, _ = open_page(home / "page.html")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = shown.evaluate(colour)
    shown.click("button.theme")
    assert shown.evaluate(colour) != light
    shown.emulate_media(media="print")
    assert shown.evaluate(colour) == light and not shown.locator("button.theme").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readers_of_screens_find_no_serious_fault(open_page: OpenPage, home: Path, scheme: Any) -> None:
    shown, _ = open_page(home / "page.html")
    shown.emulate_media(color_scheme=scheme)
    shown.evaluate("document.querySelector('meta[http-equiv]').remove()")
    found = Axe().run(shown).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
