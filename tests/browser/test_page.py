"""The report page in a real browser: keyboard, narrow windows, dark theme, print."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.reporting.sources import Scored
from bench.reporting.writing import render
from tests.browser.devtools import Browser
from tests.reporting.complete import HOSTILE, complete, complete_exhibits, complete_record

FIRST_COLUMN = """
[...document.querySelectorAll("#table-1 tbody tr:not([hidden])")]
    .map((row) => row.cells[0].firstChild.textContent.trim())
"""
MORE_HOSTILE = "</script><script>window.hacked = 1</script>"


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _page(complete(1), tmp_path_factory.mktemp("page") / "single.html")


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scored = complete(5)
    names = ("b-2", "a-10", "a-9", HOSTILE, MORE_HOSTILE)
    named = [
        Scored(complete_record(name, seed), one.exhibits)
        for seed, (name, one) in enumerate(zip(names, scored, strict=True))
    ]
    return _page(named, tmp_path_factory.mktemp("page") / "several.html")


def _page(scored: list[Scored], path: Path) -> Path:
    path.write_bytes(render(scored, "html", use_cache=False))
    return path


def values(browser: Browser, column: int) -> list[float]:
    return browser.evaluate(
        f"""[...document.querySelectorAll("#table-1 tbody tr")]
            .map((row) => row.cells[{column}].dataset.value).filter((v) => v !== "").map(Number)"""
    )


def state(browser: Browser) -> list[str]:
    return browser.evaluate(
        """[...document.querySelectorAll("#table-1 thead th")].map((h) => h.ariaSort)"""
    )


def test_sorting_by_click(browser: Browser, several: Path) -> None:
    browser.open(several)
    for column, best_first in ((1, 1), (5, -1)):  # FID: lower is better; precision: higher
        click = f"""document.querySelectorAll("#table-1 th button")[{column}].click()"""
        browser.evaluate(click)
        found = values(browser, column)
        assert found == sorted(found, key=lambda value, sign=best_first: sign * value)
        assert state(browser)[column] == ("ascending" if best_first == 1 else "descending")
        browser.evaluate(click)
        assert values(browser, column) == found[::-1]
        assert len(set(state(browser)) - {"none"}) == 1


def test_names_sort_as_people_count(browser: Browser, several: Path) -> None:
    browser.open(several)
    browser.evaluate("""document.querySelector("#table-1 th button").click()""")
    names = browser.evaluate(FIRST_COLUMN)
    assert [name for name in names if name in ("a-9", "a-10", "b-2")] == ["a-9", "a-10", "b-2"]


def test_absent_values_stay_last(browser: Browser, several: Path) -> None:
    browser.open(several)
    last = len(state(browser)) - 1
    browser.evaluate(
        f"""(() => {{ const rows = document.querySelectorAll("#table-1 tbody tr");
            rows[2].cells[{last}].dataset.value = "1.5"; }})()"""
    )
    for _ in range(2):
        browser.evaluate(f"""document.querySelectorAll("#table-1 th button")[{last}].click()""")
        first = browser.evaluate(
            f"""document.querySelector("#table-1 tbody tr").cells[{last}].dataset.value"""
        )
        assert first == "1.5"


def test_filtering(browser: Browser, several: Path) -> None:
    browser.open(several)
    browser.evaluate("""document.getElementById("filter-1").focus()""")
    browser.press("a")
    browser.press("-")
    assert sorted(browser.evaluate(FIRST_COLUMN)) == ["a-10", "a-9"]
    said = browser.evaluate("""document.querySelector("output[data-for=table-1]").textContent""")
    assert said == "2 of 5 rows shown"
    assert browser.evaluate("""document.querySelector("#table-1 tfoot").innerText""")
    browser.evaluate(
        """(() => { const box = document.getElementById("filter-1"); box.value = "";
            box.dispatchEvent(new Event("input")); })()"""
    )
    assert len(browser.evaluate(FIRST_COLUMN)) == 5


def test_the_metrics_of_one_submission(browser: Browser, single: Path) -> None:
    browser.open(single)
    browser.evaluate("""document.getElementById("filter-1").focus()""")
    for letter in "fid":
        browser.press(letter)
    names = browser.evaluate(FIRST_COLUMN)
    assert names
    assert all("fid" in name for name in names)


def test_by_keyboard_alone(browser: Browser, several: Path) -> None:
    browser.open(several)
    browser.press("Tab")
    focused = "document.activeElement"
    assert browser.evaluate(f"{focused}.className") == "skip"
    top = browser.evaluate(f"{focused}.getBoundingClientRect().top")
    assert top >= 0  # the link is seen when it has the focus
    browser.press("Enter")
    assert browser.evaluate("location.hash") == "#main"
    assert browser.evaluate(f"{focused}.id") == "main"
    for _ in range(40):
        browser.press("Tab")
        if browser.evaluate(f"{focused}.tagName") == "BUTTON":
            break
    width = browser.evaluate(f"getComputedStyle({focused}).outlineWidth")
    assert float(width.removesuffix("px")) >= 2
    browser.press("Enter")
    assert state(browser)[0] == "ascending"
    browser.press("Enter")
    assert state(browser)[0] == "descending"


def test_hostile_texts_are_shown_as_they_are(browser: Browser, several: Path) -> None:
    browser.open(several)
    assert {HOSTILE, MORE_HOSTILE} <= set(browser.evaluate(FIRST_COLUMN))
    assert browser.evaluate("window.hacked === undefined")
    assert browser.evaluate("""document.querySelectorAll("script").length""") == 1
    assert browser.evaluate("""document.querySelector('img[src="x"]')""") is None


def test_pictures_are_drawn(browser: Browser, single: Path, several: Path) -> None:
    for page in (single, several):
        browser.open(page)
        sizes = browser.evaluate(
            """Promise.all([...document.images].map((i) => i.decode()))
                .then(() => [...document.images].map((i) => i.naturalWidth))"""
        )
        assert len(sizes) > 10
        assert min(sizes) > 0


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_runs_out_of_the_window(
    browser: Browser, single: Path, several: Path, width: int
) -> None:
    for page in (single, several):
        browser.open(page, width=width)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width


CONTRASTS = """
(() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const e = node.parentElement;
    if (!node.textContent.trim() || ["SCRIPT", "STYLE"].includes(e.tagName)) continue;
    const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(ground(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push([node.textContent.trim().slice(0, 40), contrast]);
  }
  return found;
})()
"""


@pytest.mark.parametrize("dark", [False, True])
def test_contrast_of_every_text(
    browser: Browser, single: Path, several: Path, *, dark: bool
) -> None:
    """WCAG 2.2 AA asks for a contrast of 4.5 to 1."""
    browser.emulate(dark=dark)
    for page in (single, several):
        browser.open(page)
        assert browser.evaluate("""matchMedia("(prefers-color-scheme: dark)").matches""") is dark
        assert browser.evaluate(CONTRASTS) == []


def test_plots_follow_the_dark_page(browser: Browser, single: Path) -> None:
    """Return the mean of a plot's pixels on the page, read through a canvas."""
    light = """
    (async () => {
      const plot = document.querySelector(".plots img:not(.opaque)");
      await plot.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [plot.naturalWidth, plot.naturalHeight];
      const context = canvas.getContext("2d");
      context.drawImage(plot, 0, 0);
      const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
      let [sum, weight] = [0, 0];
      for (let i = 0; i < data.length; i += 4) {
        sum += data[i] * data[i + 3];
        weight += data[i + 3];
      }
      return sum / weight;
    })()
    """
    means = []
    for dark in (False, True):
        browser.emulate(dark=dark)
        browser.open(single)
        means.append(browser.evaluate(light))
    assert means[1] > means[0] + 20


def test_printing_opens_what_is_folded_and_leaves_out_the_tools(
    browser: Browser, several: Path, tmp_path: Path
) -> None:
    browser.open(several)
    folded = """document.querySelectorAll("details:not([open])").length"""
    assert browser.evaluate(folded) == 10  # 5 submissions, and in each the findings beyond three
    browser.evaluate("""window.dispatchEvent(new Event("beforeprint"))""")
    assert browser.evaluate(folded) == 0
    browser.evaluate("""window.dispatchEvent(new Event("afterprint"))""")
    assert browser.evaluate(folded) == 10  # 5 submissions, and in each the findings beyond three
    browser.emulate(media="print")
    for name in (".tools", ".contents", ".skip"):
        display = f"""getComputedStyle(document.querySelector("{name}")).display"""
        assert browser.evaluate(display) == "none"
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_a_link_opens_the_folder_that_it_leads_to(browser: Browser, several: Path) -> None:
    browser.open(several)
    browser.evaluate("""document.querySelector('#table-1 a[href="#submission-3"]').click()""")
    opened = """new Promise((done) => setTimeout(() => done(
        document.getElementById("submission-3").open), 100))"""
    assert browser.evaluate(opened)


def test_the_policy_stops_what_would_leave_the_page(browser: Browser, single: Path) -> None:
    browser.open(single)
    outcome = browser.evaluate(
        """fetch("https://example.org/").then(() => "asked", () => "stopped")"""
    )
    assert outcome == "stopped"
    browser.evaluate(
        """document.body.insertAdjacentHTML("beforeend",
            '<img src="https://example.org/x.png"><i onclick="window.hacked = 1">x</i>')"""
    )
    browser.evaluate("""document.querySelector("body > i").click()""")
    assert browser.evaluate("window.hacked === undefined")
    assert len(browser.errors) >= 2
    assert all("Content Security Policy" in text for text in browser.errors[:2])
    browser.errors.clear()


def test_twenty_folders_stay_below_8_megabytes(tmp_path: Path, browser: Browser) -> None:
    scored = [
        Scored(complete_record(f"team-{seed:02}", seed), complete_exhibits(seed))
        for seed in range(20)
    ]
    page = _page(scored, tmp_path / "twenty.html")
    assert page.stat().st_size < 8e6
    browser.open(page)
    assert len(browser.evaluate(FIRST_COLUMN)) == 20
