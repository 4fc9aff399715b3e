"""Printing a page to PDF with the Chromium or Chrome of this machine, if there is one."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from fauxscan.records import UserError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_S = 120
# The page asks for nothing. Without the options a new browser looks for updates of its own.
QUIET = ("--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-quic", "--no-pdf-header-footer")  # fmt: skip


def write(page: Path, out: Path) -> None:
    """Print the HTML file `page` to the PDF file `out`. Raise UserError if there is no browser, or if it fails."""
    command = next(filter(None, map(shutil.which, BROWSERS)), None)
    if command is None:
        raise UserError(
            f"a PDF needs Chromium or Chrome, and none of {', '.join(BROWSERS)} is on the PATH. Install one, such as "
            f"with `apt install chromium`, or open {page} in any browser and print it"
        )
    with tempfile.TemporaryDirectory() as profile:
        arguments = [command, *QUIET, *_sandbox(), f"--user-data-dir={profile}", f"--print-to-pdf={out.absolute()}"]
        try:
            done = subprocess.run(
                [*arguments, page.absolute().as_uri()], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UserError(f"{command} did not print {page} within {TIMEOUT_S} s: print it in a browser") from error
    if done.returncode or not out.is_file():
        last = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
        raise UserError(f"{command} could not print {page} ({last}): print it in a browser")


def _sandbox() -> tuple[str, ...]:
    """Return the option that Chromium needs to start as root. The page is our own and cannot load anything."""
    return ("--no-sandbox",) if os.geteuid() == 0 else ()
