"""The page of a scan in a real browser: sorting, filtering, searching, keys, hostile names, and no outside request."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser import opened, serious_faults
from support.scanned import HOSTILE, Scanned

from fauxscan.reporting.pages import printing
from fauxscan.reporting.scan_page import contents, kept, render
from fauxscan.reporting.scan_page.contents import Extract

Open = tuple[Any, list[str]]


@pytest.fixture(scope="module")
def extract(scanned: Scanned) -> Extract:
    """Return the extract of the latest run."""
    return scanned.extract()


@pytest.fixture(scope="module")
def page(extract: Extract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of the latest run."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    render.write(extract, file)
    return file


@pytest.fixture
def browser(page: Path) -> Iterator[Open]:
    """Open the page; at the end nothing may have gone wrong in it."""
    with opened(page) as (tab, faults):
        yield tab, faults
        assert not faults


def column(tab: Any, number: int) -> list[str]:
    """Return the texts of a column of the table of all files."""
    return [cell.strip() for cell in tab.locator(f"#files tbody tr td:nth-child({number})").all_text_contents()]


def test_the_page_is_rendered_from_the_extract_alone(page: Path, tmp_path: Path) -> None:
    saved = contents.load(contents.beside(page))
    assert render.html(saved) == page.read_text(encoding="utf-8")


def test_sorting_filtering_and_searching(browser: Open, extract: Extract) -> None:
    tab, _ = browser
    assert len(column(tab, 1)) == len(extract.files)
    tab.locator("#files").get_by_role("button", name="file", exact=True).click()
    names = column(tab, 1)
    assert names == sorted(names)
    tab.locator("#files").get_by_role("button", name="p_fake", exact=True).click()
    scores = [text for text in column(tab, 3) if text]
    assert scores == sorted(scores, reverse=True)
    assert column(tab, 3)[-1] == ""
    tab.locator("#files").get_by_role("button", name="p_fake", exact=True).click()
    assert column(tab, 3)[: len(scores)] == sorted(scores)
    tab.locator("#files").get_by_label("status").select_option(value="=corrupt")
    assert set(column(tab, 4)) == {"corrupt"}
    tab.locator("#files").get_by_label("status").select_option(value="*")
    tab.locator("#files").get_by_role("searchbox").fill("FACE copy")
    assert column(tab, 1) == ["copy of face.jpg"]
    tab.locator("#files").get_by_role("searchbox").fill("no such file")
    assert tab.locator("#files output").text_content().startswith("nothing matches")


def test_a_digest_is_found_by_its_last_digits(browser: Open, extract: Extract) -> None:
    tab, _ = browser
    file = next(file for file in extract.files if file.path == "later.png")
    tab.locator("#files").get_by_role("searchbox").fill(str(file.sha256)[-20:])
    assert column(tab, 1) == ["later.png"]


def test_keys_search_choose_rows_and_show_pictures(browser: Open) -> None:
    tab, _ = browser
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.type") == "search"
    tab.locator("#files table").focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    chosen = tab.locator("#files tr[aria-selected=true]")
    assert chosen.count() == 1
    assert chosen.locator("td").first.text_content() == column(tab, 1)[1]
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash").startswith("#item-")


def test_a_hostile_name_is_a_text(browser: Open) -> None:
    tab, faults = browser
    assert tab.locator("#files").get_by_text(HOSTILE, exact=True).count() == 1
    assert tab.locator("img").count() == 0
    assert not faults


def test_the_theme_changes_and_no_width_needs_scrolling_sideways(page: Path) -> None:
    for width in (390, 700, 1280, 1920):
        with opened(page, width) as (tab, faults):
            before = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            tab.get_by_role("button", name="Change between light and dark").click()
            assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != before
            assert tab.evaluate("document.documentElement.scrollWidth") == width
            assert tab.locator("svg.chart:visible").count() > 0
            assert not faults


def test_text_in_charts_has_at_least_12_pixels(browser: Open) -> None:
    tab, _ = browser
    heights = tab.evaluate(
        "[...document.querySelectorAll('svg.chart text')].filter((text) => text.checkVisibility())"
        ".map((text) => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a)"
    )
    assert heights
    assert min(heights) >= 12


def test_readers_of_screens_find_no_serious_fault(page: Path) -> None:
    with opened(page) as (tab, _):
        assert serious_faults(tab) == []


def test_the_page_is_printed_to_pdf(page: Path, tmp_path: Path) -> None:
    printing.to_pdf(page, tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")


def test_the_results_keep_the_last_pages(scanned: Scanned, tmp_path: Path) -> None:
    results = shutil.copytree(scanned.results, tmp_path / "results")
    folder = results / kept.FOLDER
    folder.mkdir()
    for number in range(kept.MOST):
        for suffix in ("html", "json"):
            (folder / f"2020{number:04d}.{suffix}").touch()
    run_id = scanned.extract().run.run_id
    page = kept.write(results, run_id, scanned.settings)
    assert page == folder / f"{run_id}.html"
    names = sorted(file.name for file in folder.iterdir())
    assert len(names) == 2 * kept.MOST
    assert names[:2] == ["20200001.html", "20200001.json"]
    assert names[-2:] == [f"{run_id}.html", f"{run_id}.json"]
