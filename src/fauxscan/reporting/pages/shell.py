"""Render a page: one HTML file that needs no network, in which every value is escaped and only its own script runs."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape
from rich.filesize import decimal

from fauxscan.reporting.scans import visible

CODE = re.compile("`([^`]+)`")
ROOM = "fauxscan.reporting.pages"
Fact = tuple[str, str]  # a name and a value


def render(template: str, title: str, facts: Sequence[Fact], **context: Any) -> str:
    """Return the page of a template below `reporting`, such as `scan_page/page.html`, which extends `pages/base.html`.

    `facts` are shown under the title. The page may run its own script alone, and may load nothing.
    """
    script = _text("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    shared = {"style": Markup(_text("page.css")), "script": Markup(script), "script_digest": f"sha256-{digest}"}
    return _environment().get_template(template).render(title=title, facts=facts, **shared, **context)


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("fauxscan", "reporting")
    options: Any = {"autoescape": True, "undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = jinja2.Environment(loader=loader, **options)
    environment.filters |= {
        "json_block": json_block,
        "when": when,
        "number": number,
        "p": probability,
        "percent": lambda value: "" if value is None else f"{value:.1%}",
        "file_size": lambda value: "" if value is None else decimal(value),
        "visible": visible,
        "code": code_spans,
    }
    return environment


@cache
def _text(name: str) -> str:
    return resources.files(ROOM).joinpath(name).read_text(encoding="utf-8")


def json_block(data: Any) -> Markup:
    """Return data as JSON for a script element, in which nothing can end the element or begin another one."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def when(moment: datetime | None) -> str:
    """Return a time in UTC, to the minute."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def number(value: int) -> str:
    """Return a number with its thousands apart."""
    return f"{value:,}"


def probability(value: float | None) -> str:
    """Return a probability with three decimals, but not 0 or 1 for what is only near; the empty string for none."""
    if value is None:
        return ""
    near = {"0.000": "<0.001", "1.000": ">0.999"} if 0 < value < 1 else {}
    return near.get(f"{value:.3f}", f"{value:.3f}")


def code_spans(text: str) -> Markup:
    """Return a text, escaped, with what is between two backticks as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))
