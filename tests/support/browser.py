"""A real browser for the tests of pages: Debian's Chromium, driven by Playwright. Without it, tests skip."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def opened(page: Path, width: int = 1280) -> Iterator[tuple[Any, list[str]]]:
    """Yield a page that is open in the browser, and a list of what went wrong in it: errors, requests and dialogs.

    In CI there must be a browser.
    """
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed: in CI the tests of pages must run")
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api")
    faults: list[str] = []
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            tab = browser.new_page(viewport={"width": width, "height": 900})
            tab.on("console", lambda message: faults.append(f"console: {message.text}"))
            tab.on("pageerror", lambda error: faults.append(f"error: {error}"))
            tab.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
            tab.on("request", lambda request: _note(request.url, page.as_uri(), faults))
            tab.goto(page.as_uri())
            yield tab, faults
        finally:
            browser.close()


def _note(url: str, page: str, faults: list[str]) -> None:
    if not url.startswith("data:") and url.partition("#")[0] != page:
        faults.append(f"request: {url}")


def serious_faults(tab: Any) -> list[tuple[str, str]]:
    """Return what axe finds to be a serious fault for people who use a screen reader or a keyboard, in both themes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab.evaluate("document.querySelector('meta[http-equiv]')?.remove()")  # axe is a script from outside
    found = []
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        found += axe.run(tab).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
