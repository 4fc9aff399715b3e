"""Debian's Chromium without a window, for the tests of pages. Plugin: it has the fixtures `browser` and `open_page`."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser. Without one the test is skipped, but not in CI."""
    chromium = shutil.which("chromium")
    if chromium is None and not os.environ.get("CI"):
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Callable[..., tuple[Page, list[str]]]:
    """Return a function that shows a file, and lists its faults: each request beyond the file, and each error."""

    def open_file(page: Path, width: int = 1280) -> tuple[Page, list[str]]:
        shown = browser.new_page(viewport={"width": width, "height": 900})
        faults: list[str] = []
        shown.on("request", lambda request: faults.append(request.url) if request.url != page.as_uri() else None)
        shown.on("console", lambda message: faults.append(message.text))
        shown.on("pageerror", lambda error: faults.append(str(error)))
        shown.goto(page.as_uri())
        return shown, faults

    return open_file
