"""`make docs`: the site is built, its links are checked, and no page requests anything from elsewhere."""

import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support import ROOT

pytestmark = pytest.mark.slow
LOADING = {"src", "srcset", "data", "poster", "background", "action"}  # attributes whose address a browser requests
LINKED = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")  # in style sheets
IN_SCRIPTS = re.compile(r"""["'`]((?:https?:)?//[^"'`\s]+)""")
NAMES = {"http://www.w3.org/2000/svg"}  # the name of a vocabulary, which nothing requests


def commands(site: Path) -> list[str]:
    """Return the commands of the Makefile that build the site and print the path of its first page."""
    planned = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "docs", f"SITE={site}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return planned.stdout.splitlines()[-2:]


def build(project: Path, site: Path) -> "subprocess.CompletedProcess[str]":
    """Build the site of the pages in `project` with the command of the Makefile."""
    _, *arguments = shlex.split(commands(site)[0])
    return subprocess.run([sys.executable, *arguments], cwd=project, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Requests(HTMLParser):
    """Collects the addresses that a browser requests to show a page. A link that a reader may click is none."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the addresses of a tag."""
        given = {name: value or "" for name, value in attrs}
        self.addresses += [value for name, value in given.items() if name in LOADING]
        if tag == "link" and given.get("rel") not in ("index", "search", "next", "prev"):
            self.addresses.append(given["href"])
        self.addresses += LINKED.findall(given.get("style", ""))


def requests(file: Path) -> list[str]:
    """Return the addresses that a file of the site makes a browser request."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".css":
        return LINKED.findall(text)
    if file.suffix == ".js":
        return [address for address in IN_SCRIPTS.findall(text) if address not in NAMES]
    page = Requests()
    page.feed(text)
    return page.addresses + [address for address in IN_SCRIPTS.findall(scripts(text)) if address not in NAMES]


def scripts(page: str) -> str:
    """Return the scripts within a page."""
    return "\n".join(re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL))


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    assert len(pages) > 30
    assert [page for page in pages if not (site / page.relative_to(ROOT)).with_suffix(".html").is_file()] == []
    printed = subprocess.run(commands(site)[1], shell=True, capture_output=True, text=True, check=True).stdout
    first = printed.removeprefix("Wrote ").removesuffix("\n")
    assert "README.html" in Path(first).read_text(encoding="utf-8")


def test_the_site_requests_only_its_own_files(site: Path) -> None:
    files = [file for file in site.rglob("*") if file.suffix in (".html", ".css", ".js")]
    found = {(file, address) for file in files for address in requests(file) if not address.startswith("data:")}
    assert len(found) > 100
    missing = [f"{file.relative_to(site)}: {address}" for file, address in found if not is_own(file, address)]
    assert missing == []


def is_own(file: Path, address: str) -> bool:
    """Return whether an address in a file is that of a file of the site, relative to it; an empty one is its own."""
    return not address or (not re.match(r"\w+:|/", address) and (file.parent / re.split("[?#]", address)[0]).is_file())


@pytest.mark.parametrize(
    "page",
    [
        '<img src="https://example.org/a.png">',
        '<link rel="stylesheet" href="//example.org/a.css">',
        '<p style="background: url(https://example.org/a.png)">',
        '<script>fetch("https://example.org/a.json")</script>',
    ],
)
def test_a_request_to_another_server_is_noticed(tmp_path: Path, page: str) -> None:
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    assert [is_own(tmp_path / "page.html", address) for address in requests(tmp_path / "page.html")] == [False]


def test_links_of_the_site_lead_to_its_files(site: Path) -> None:
    for page in site.rglob("*.html"):
        for address in re.findall(r'<a [^>]*href="([^"]+)"', page.read_text(encoding="utf-8")):
            path = address.partition("#")[0]
            assert not path or re.match(r"\w+:", path) or (page.parent / path).is_file(), f"{page}: {address}"


def test_broken_links_and_anchors_fail_the_build(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "project" / "docs")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path / "project")
    for file in (tmp_path / "project").rglob("*.md"):
        file.write_text("# Page\n", encoding="utf-8")  # so that the build takes seconds, and nothing else is wrong
    page = tmp_path / "project" / "docs" / "security.md"
    page.write_text("# Page\n\n[file](nowhere.md) [anchor](scanning.md#nowhere)\n", encoding="utf-8")
    done = build(tmp_path / "project", tmp_path / "site")
    assert done.returncode == 1 and done.stderr.count("WARNING: ") == 2, done.stderr
    assert "cross-reference target not found: 'nowhere.md'" in done.stderr
    assert "local id not found in doc 'docs/scanning': 'nowhere'" in done.stderr
