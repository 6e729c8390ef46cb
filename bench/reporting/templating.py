"""What every page shares: template engine, style, script and content security policy.

Jinja escapes text from outside. The policy allows the page's own style and script by their digests
and pictures from data URIs; it forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.reporting.sentence import MARKS, MEANINGS_OF_MARKS
from bench.tables.numbers import counted

CSS, JS = "page.css", "page.js"
_UNIT = re.compile(r"(?<=\d) (?=%|px\b)")


def environment(*packages: str) -> Environment:
    """Return an engine that finds templates of `packages` first, then those of this package."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in (*packages, "bench.reporting")]),
        autoescape=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"breakable": _breakable, "unbroken": _unbroken, "counted": counted}
    environment.globals |= {"marks": MARKS, "meanings_of_marks": MEANINGS_OF_MARKS}
    return environment


def asset(name: str) -> str:
    """Return the text of the style (`CSS`) or the script (`JS`)."""
    return (
        resources.files("bench.reporting").joinpath("templates", name).read_text(encoding="utf-8")
    )


def policy(css: str, js: str) -> str:
    """Return the content security policy of a page with this style and script."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, js)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _breakable(name: str) -> Markup:
    """Allow line breaks after the underscores of a name."""
    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))


def _unbroken(text: str) -> str:
    """Keep numbers on one line with the percent sign or unit that follows them."""
    return _UNIT.sub("\u00a0", text)
