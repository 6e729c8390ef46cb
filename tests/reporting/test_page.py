"""The page is one file without requests, and text from outside stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

from bench.reporting.page import page
from bench.reporting.sources import Scored
from bench.runtime.cache import Cache
from tests.records.test_score_record import record
from tests.reporting.complete import (
    HOSTILE,
    complete,
    complete_exhibits,
    complete_record,
    entry,
    interval,
)

NO_CACHE = Cache(None)
VOID = {"meta", "link", "img", "input", "br", "wbr"}


class Page(HTMLParser):
    """The tags and texts of a page; a tag that is not closed fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def single() -> str:
    return page(complete(1), NO_CACHE)


@pytest.fixture(scope="module")
def several() -> str:
    return page(complete(4), NO_CACHE)


def test_one_submission(single: str) -> None:
    shown = Page(single)
    headings = [tag for tag, _ in shown.tags if tag in ("h1", "h2")]
    assert headings == ["h1"] + ["h2"] * 6
    assert "46 % of the images are nines (10 % expected)" in shown.text
    assert "How to reproduce" in shown.text
    assert "latentbench score /x/samples --reference mnist --extractor digits" in shown.text
    assert f"too few images {HOSTILE}" in shown.text
    # six sheets of images, five plots and two embeddings
    assert len(shown.all("img")) == 6 + 5 + 2
    assert len([one for one in shown.all("img") if one.get("class") == "pixels"]) == 6


def test_several_submissions(several: str) -> None:
    shown = Page(several)
    assert "4 submissions" in shown.text
    assert sum("id" in one for one in shown.all("details")) == 4
    assert "perfect (2,000 images)" in shown.text
    first = complete_record().values[0]
    assert f"{first.value:.2f}" in shown.text
    anchors = {one["id"] for _, one in shown.tags if "id" in one}
    for link in shown.all("a"):
        assert (link["href"] or "").removeprefix("#") in anchors
    assert len(anchors) == len([one for _, one in shown.tags if "id" in one])


@pytest.mark.parametrize("make", [lambda: page(complete(1), NO_CACHE)])
def test_the_same_records_give_the_same_page(single: str, make: Callable[[], str]) -> None:
    assert make() == single


def test_the_policy_allows_this_style_and_script_and_no_request(single: str, several: str) -> None:
    for text in (single, several):
        (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
        assert "default-src &#39;none&#39;" in policy
        for tag, directive in (("style", "style-src"), ("script", "script-src")):
            (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"{directive} &#39;sha256-{digest}&#39;" in policy.replace("&#43;", "+")
        shown = Page(text)
        for tag, attributes in shown.tags:
            assert "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]
            for name in ("src", "href"):
                if name in attributes:
                    assert (attributes[name] or "").startswith(("data:", "#")), tag
        assert not {"iframe", "object", "embed", "form", "base"} & {tag for tag, _ in shown.tags}


def test_pictures_say_what_they_show(single: str) -> None:
    shown = Page(single)
    for image in shown.all("img"):
        assert image["alt"]
        assert int(image["width"] or 0) > 0
        uri = image["src"] or ""
        if uri.startswith("data:image/svg+xml,"):
            root = ET.fromstring(unquote(uri.partition(",")[2]))  # noqa: S314  (our own)
            assert root.tag.endswith("svg")


def test_tables_are_labelled(single: str, several: str) -> None:
    for text in (single, several):
        shown = Page(text)
        assert len(shown.all("caption")) == len(shown.all("table")) == 1
        assert len(shown.all("main")) == len(shown.all("nav")) == len(shown.all("footer")) == 1
        assert shown.all("a")[0]["href"] == "#main"
        for head in shown.all("th"):
            assert head["scope"] in ("col", "row")
        (region,) = [one for one in shown.all("div") if one.get("role") == "region"]
        assert region["tabindex"] == "0"
        labels = {one["for"] for one in shown.all("label")}
        assert {one["id"] for one in shown.all("input")} <= labels


def test_hostile_texts_stay_text() -> None:
    scored = [Scored(complete_record(HOSTILE, seed), complete_exhibits(seed)) for seed in range(2)]
    for chosen in (scored, scored[:1]):
        shown = Page(page(chosen, NO_CACHE))
        assert HOSTILE in shown.text
        assert "x" not in [image["src"] for image in shown.all("img")]


def test_a_record_without_anything_else() -> None:
    shown = Page(page([Scored(record(), {})], NO_CACHE))
    assert "None. Every file could be read, and nothing stood out." in shown.text
    assert not shown.all("img")


def test_marks_hints_and_corrected_intervals_are_explained() -> None:
    corrected = entry("fid", 2.3, 0.3).model_copy(update={"interval": interval(1.0, 0.3)})
    text = page([Scored(record("a", (corrected, entry("recall_k3", 0.4, 0.01))), {})], NO_CACHE)
    shown = Page(text)
    assert "short of real images" in shown.text
    assert "Look for kinds of real images" in shown.text
    assert "around 1.0" in shown.text
    assert "40\u00a0%" in text  # a number and its unit stay on one line


def test_protocols_have_tables_of_their_own() -> None:
    other = record("b").model_copy(update={"seed": 1})
    shown = Page(page([Scored(record("a"), {}), Scored(other, {})], NO_CACHE))
    assert len(shown.all("table")) == 2
    assert "--seed 1" in shown.text


def test_sizes_stay_small() -> None:
    """Twenty submissions whose images are noise add less than 8 MB."""
    five, six = (len(page(complete(num), NO_CACHE)) for num in (5, 6))
    assert (six - five) * 20 < 8e6
