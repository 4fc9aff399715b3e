"""Print a page to PDF with Chromium, if it is installed. It runs without a profile, and the page asks for nothing."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from fauxscan.records import InputError, MissingExtraError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 120.0  # a page with hundreds of pictures takes a few
REMEDY = "install it (on Debian: apt install chromium), or open the page in a browser and print it"


def browser() -> str:
    """Return the path of the browser. Raise MissingExtraError if there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise MissingExtraError(f"--pdf needs Chromium, which is not installed: {REMEDY}")
    return found


def to_pdf(page: Path, pdf: Path, seconds: float = SECONDS) -> None:
    """Print a page to a PDF. Raise MissingExtraError without Chromium, and InputError if it fails or takes too long."""
    program = browser()
    with TemporaryDirectory() as profile:
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
            f"--user-data-dir={profile}", "--no-pdf-header-footer", f"--print-to-pdf={pdf.absolute()}",
            page.absolute().as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{program} did not print {page} within {seconds:g} s: {REMEDY}") from error
    if done.returncode != 0 or not pdf.is_file():
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise InputError(f"{program} could not print {page} ({lines[-1]}): {REMEDY}")
