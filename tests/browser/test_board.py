"""The leaderboard in a real browser: sorting, searching, columns, hostile names, many teams."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.ranking.board import write_board
from bench.ranking.places import metric_places
from bench.ranking.rank import Ranking, Row
from bench.ranking.store import Entry
from tests.browser.devtools import Browser
from tests.browser.test_page import CONTRASTS, MORE_HOSTILE
from tests.reporting.complete import HOSTILE, complete_record

NAMES = ("team 10", "team 9", HOSTILE, MORE_HOSTILE, "ünï – 数字", "w" * 60)
LATE = "handed in after the deadline"
SHOWN = """[...document.querySelectorAll("#board tbody tr:not([hidden])")]"""
COLUMNS = """[...document.querySelectorAll("#board thead th")].filter((h) => !h.hidden).length"""


def board(folder: Path, names: tuple[str, ...], *, unranked: int = 2) -> Path:
    """A board of teams by FID, with a page for the first, and the last teams not ranked."""
    records = [complete_record(name, seed) for seed, name in enumerate(names)]
    number = len(names) - unranked
    matrix = metric_places(records[:number], "fid") if number <= 40 else None
    fid = [next(v.value or 0 for v in record.values if v.metric == "fid") for record in records]
    order = sorted(range(number), key=fid.__getitem__)
    report = folder / "report.html"
    report.write_text("<title>the report of a team</title>")
    rows = [
        Row(
            entry=Entry(
                id=i + 1, team=names[i], source="x", fingerprint="f", received="2026-01-01",
                record=records[i],
            ),
            place=place + 1 if i < number else None,
            reason=None if i < number else f"{LATE} {HOSTILE}",
            page=report if place == 0 else None,
        )
        for place, i in enumerate([*order, *range(number, len(names))])
    ]  # fmt: skip
    shown = {name: name for name in names}
    ranking = Ranking(rows=tuple(rows), by=("fid",), matrix=matrix, reference="mnist", names=shown)
    return write_board(ranking, folder / "board")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return board(tmp_path_factory.mktemp("small"), (*NAMES, "late", f"late {HOSTILE}"))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = tuple(f"team {number}" for number in range(502))
    return board(tmp_path_factory.mktemp("large"), names)


def teams(browser: Browser) -> list[str]:
    return browser.evaluate(
        f"""{SHOWN}.map((row) => {{
            const copy = row.cells[0].cloneNode(true);
            copy.querySelectorAll(".place, .sr").forEach((one) => one.remove());
            return copy.textContent.trim(); }})"""
    )


def seconds_of_use(browser: Browser) -> dict[str, float]:
    """Sort an open board by its second column, then search it; return the seconds of each."""
    actions = {
        "sort": """document.querySelectorAll("#board thead button")[1].click()""",
        "search": """document.getElementById("filter").dispatchEvent(new Event("input"))""",
    }
    timed = "(() => {{ const t = performance.now(); {}; return performance.now() - t; }})()"
    return {name: browser.evaluate(timed.format(action)) / 1000 for name, action in actions.items()}


def column(browser: Browser, name: str) -> int:
    return browser.evaluate(
        f"""[...document.querySelectorAll("#board thead button")]
            .findIndex((b) => b.dataset.name === "{name}")"""
    )


def click(browser: Browser, name: str) -> None:
    at = column(browser, name)
    browser.evaluate(f"""document.querySelectorAll("#board thead button")[{at}].click()""")


def test_sorting_by_each_kind_of_metric_and_back_to_the_places(
    browser: Browser, small: Path
) -> None:
    browser.open(small)
    places = teams(browser)
    assert len(places) == 6
    for name, sign in (("fid", 1), ("precision_k3", -1)):
        click(browser, name)
        values = browser.evaluate(
            f"""{SHOWN}.map((row) => Number(row.cells[{column(browser, name)}].dataset.value))"""
        )
        assert len(set(values)) == 6
        assert values == sorted(values, key=lambda value, sign=sign: sign * value)
    click(browser, "place")
    assert teams(browser) == places
    click(browser, "place")
    assert teams(browser) == places[::-1]


def test_searching_a_team(browser: Browser, small: Path) -> None:
    browser.open(small)
    browser.evaluate("""document.getElementById("filter").focus()""")
    for letter in "TEAM":
        browser.press(letter)
    assert set(teams(browser)) == {"team 10", "team 9"}
    said = browser.evaluate("""document.querySelector("output[data-for=board]").textContent""")
    assert said == "2 of 6 rows shown"
    click(browser, "fid")  # sorting keeps what is found
    assert set(teams(browser)) == {"team 10", "team 9"}


def test_a_search_looks_at_names_only(browser: Browser, small: Path) -> None:
    """Places are numbers too, and ties are named for screen readers."""
    browser.open(small)
    for text, expected in (("9", {"team 9"}), ("1", {"team 10"} | {MORE_HOSTILE, HOSTILE}),
                           ("tied", set())):  # fmt: skip
        browser.evaluate(
            f"""(() => {{ const box = document.getElementById("filter"); box.value = "{text}";
                box.dispatchEvent(new Event("input")); }})()"""
        )
        assert set(teams(browser)) == {name for name in expected if text in name}


def test_choosing_columns(browser: Browser, small: Path) -> None:
    browser.open(small)
    before = browser.evaluate(COLUMNS)
    assert not browser.evaluate("""document.querySelector("details.tools").hidden""")
    browser.evaluate("""document.querySelector("details.tools").open = true""")
    boxes = """document.querySelectorAll("input[data-column]")"""
    browser.evaluate(f"""[...{boxes}].find((box) => !box.checked).click()""")
    assert browser.evaluate(COLUMNS) == before + 1
    browser.evaluate(f"""[...{boxes}].filter((box) => box.checked).forEach((box) => box.click())""")
    assert browser.evaluate(COLUMNS) == 1
    widths = browser.evaluate(
        """[...document.getElementById("board").rows]
            .map((row) => [...row.cells].filter((cell) => !cell.hidden).length)"""
    )
    assert set(widths) == {1}  # head, body and foot


def test_hostile_names_are_shown_as_they_are(browser: Browser, small: Path) -> None:
    browser.open(small)
    assert {HOSTILE, MORE_HOSTILE} <= set(teams(browser))
    reasons = """[...document.querySelectorAll("td.text")].map((c) => c.textContent)"""
    assert browser.evaluate(reasons) == [f"{LATE} {HOSTILE}"] * 2
    assert browser.evaluate("window.hacked === undefined")
    assert browser.evaluate("""document.querySelectorAll("script").length""") == 1
    assert browser.evaluate("""document.querySelector('img[src="x"]')""") is None


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_window_is_wide_enough(browser: Browser, small: Path, large: Path, width: int) -> None:
    for page in (small, large):
        browser.open(page, width=width)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    # the name stays beside the values that are scrolled to
    browser.evaluate("""document.querySelector(".scroll").scrollLeft = 300""")
    left = """document.querySelector("%s").getBoundingClientRect().left"""
    box, name = (browser.evaluate(left % place) for place in (".scroll", "#board tbody th"))
    assert abs(name - box) <= 2


def test_by_keyboard_alone(browser: Browser, small: Path) -> None:
    browser.open(small)
    focused = "document.activeElement"
    reached = []
    for _ in range(60):
        browser.press("Tab")
        reached.append(
            browser.evaluate(f"{focused}.id || {focused}.dataset.name || {focused}.tagName")
        )
        if browser.evaluate(f"{focused}.dataset.name") == "fid":
            break
    assert reached[0] == "A"  # the link to the content
    assert "filter" in reached
    assert "SUMMARY" in reached  # the columns
    assert reached[-1] == "fid"
    width = browser.evaluate(f"getComputedStyle({focused}).outlineWidth")
    assert float(width.removesuffix("px")) >= 2
    browser.press("Enter")
    assert browser.evaluate(f"{focused}.closest('th').ariaSort") == "ascending"
    said = browser.evaluate("""document.querySelector("output[data-for=board]").textContent""")
    assert said == "sorted by fid, ascending"


@pytest.mark.parametrize("dark", [False, True])
def test_contrast_of_every_text(browser: Browser, small: Path, *, dark: bool) -> None:
    browser.emulate(dark=dark)
    browser.open(small)
    browser.evaluate("""document.querySelectorAll("details").forEach((d) => { d.open = true; })""")
    assert browser.evaluate(CONTRASTS) == []


def test_printing(browser: Browser, small: Path, tmp_path: Path) -> None:
    browser.open(small)
    browser.emulate(media="print")
    for element in (".tools", ".skip"):
        display = f"""getComputedStyle(document.querySelector("{element}")).display"""
        assert browser.evaluate(display) == "none"
    # the columns that do not fit are not cut off by the box that scrolls on a screen
    assert browser.evaluate(
        """[...document.querySelectorAll(".scroll")].every(
            (box) => getComputedStyle(box).overflowX === "visible")"""
    )
    browser.pdf(tmp_path / "board.pdf")
    assert (tmp_path / "board.pdf").read_bytes().startswith(b"%PDF")


def test_a_team_has_a_page(browser: Browser, small: Path) -> None:
    browser.open(small)
    links = browser.evaluate(
        """[...document.querySelectorAll("#board tbody a")].map((a) => a.getAttribute("href"))"""
    )
    assert len(links) == 1
    assert (small.parent / links[0]).read_text().startswith("<title>the report")


def test_a_board_of_500_teams(browser: Browser, large: Path) -> None:
    """It opens, sorts and searches; `tests.browser.board_speed` measures how fast."""
    browser.open(large)
    assert len(teams(browser)) == 500
    assert large.stat().st_size < 8e6
    assert set(seconds_of_use(browser)) == {"sort", "search"}
