"""The site that `make docs` builds of the README, CONTRIBUTING.md, the changelog and the pages of this folder."""

from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "fauxscan"
extensions = ["myst_parser"]
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md"]
# No other folder is searched for pages: they may hold millions of files.
exclude_patterns = [path.name for path in Path(__file__).parents[1].iterdir() if path.is_dir() and path.name != "docs"]
root_doc = "README"
myst_heading_anchors = 6  # as GitHub makes them of headings, so that links work there and here
html_theme = "alabaster"  # fonts of the system, and nothing from other servers
html_theme_options = {"page_width": "80rem", "sidebar_width": "16rem", "body_max_width": "auto"}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_additional_pages = {"index": "index.html"}
html_copy_source = False
html_show_copyright = False
html_show_search_summary = False  # a page that is opened from disk may not read others
templates_path = ["templates"]
# The pages below each page, which the sidebar lists. On GitHub nothing of this is seen.
CONTENTS = {
    "README": [
        "docs/scanning", "docs/reading", "docs/analysts", "docs/python", "docs/operating", "docs/scaling",
        "docs/security", "docs/datasets", "docs/detectors", "docs/calibration", "docs/protocol", "docs/results",
        "docs/benchmarks", "docs/mesonet_package", "docs/glossary", "docs/decisions/README", "CONTRIBUTING",
        "CHANGELOG",
    ],
    "docs/decisions/README": ["*"],
}  # fmt: skip


def add_contents(_: Sphinx, page: str, source: list[str]) -> None:
    """Append the list of the pages below a page to its source."""
    if page in CONTENTS:
        source[0] += "\n".join(["\n```{toctree}", ":hidden:", ":glob:", *CONTENTS[page], "```\n"])


def setup(app: Sphinx) -> None:
    """Add the lists of pages, and show diagrams in Mermaid, which need a script to be drawn, as text."""
    app.connect("source-read", add_contents)
    app.add_lexer("mermaid", TextLexer)
