"""What every page shares: its template engine, its style and script, and its security policy.

Text from outside goes through Jinja's escaping. The content security policy allows a page its own
style and script by their digests, pictures from data URIs, and no request of any kind.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

CSS, JS = "page.css", "page.js"


def environment(*packages: str) -> Environment:
    """Templates of `packages`, and then those here: `macros.html.j2` among them."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in (*packages, "bench.reporting")]),
        autoescape=True,
        undefined=StrictUndefined,
    )
    environment.filters["breakable"] = _breakable
    return environment


def asset(name: str) -> str:
    """The text of the style or the script."""
    return (
        resources.files("bench.reporting").joinpath("templates", name).read_text(encoding="utf-8")
    )


def policy(css: str, js: str) -> str:
    """The content security policy of a page with this style and script."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, js)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _breakable(name: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))
