"""Agreement of two boards: against SciPy, and the ends of its interval by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from bench.__main__ import run
from bench.errors import EXIT_OK, EXIT_USAGE, InputError
from bench.ranking.agreement import agreement
from bench.ranking.store import Store


@pytest.mark.parametrize("seed", range(5))
def test_tau_is_scipys(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.integers(1, 8, (2, 20)).tolist()
    names = [f"team {k}" for k in range(20)]
    found = agreement(dict(zip(names, one, strict=True)), dict(zip(names, other, strict=True)))
    assert found.tau == pytest.approx(kendalltau(one, other).statistic, abs=1e-12)
    half = 1.959963984540054 * math.sqrt(0.437 / 16)
    assert found.low == pytest.approx(math.tanh(math.atanh(found.tau) - half), abs=1e-12)
    assert found.high == pytest.approx(math.tanh(math.atanh(found.tau) + half), abs=1e-12)


def test_the_interval_holds_the_truth() -> None:
    """Draws of a bivariate normal with correlation .6: tau is 2 / pi asin .6 = .4097."""
    random, held = np.random.default_rng(3), 0
    names = [f"{k}" for k in range(30)]
    for _ in range(400):
        x, y = random.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 30).T
        ranks = (dict(zip(names, np.argsort(np.argsort(v)).tolist(), strict=True)) for v in (x, y))
        found = agreement(*ranks)
        held += found.low <= 2 / math.pi * math.asin(0.6) <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_equal_and_opposite_orders() -> None:
    places = {name: place for place, name in enumerate("abcdefgh", 1)}
    same, opposite = (
        agreement(places, places),
        agreement(places, {k: -v for k, v in places.items()}),
    )
    assert (same.tau, same.high) == (1, 1)
    assert 0.5 < same.low < 1
    assert (opposite.tau, opposite.low) == (-1, -1)
    assert opposite.high == -same.low


def test_too_few_teams_and_no_order() -> None:
    places = {name: place for place, name in enumerate("abcde", 1)}
    with pytest.raises(InputError, match="4 teams on both boards"):
        agreement(places, dict.fromkeys("abcdx", 1))
    with pytest.raises(InputError, match="all teams share one place"):
        agreement(places, dict.fromkeys("abcde", 1))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, order in (("public", "abcde"), ("hidden", "abced")):
        store = Store(tmp_path / name / "ranking.sqlite3")
        board = store.board({})
        numbers = {team: store.submission(team, "x", fingerprint="f") for team in order}
        store.add_ranking(board, {}, dict.fromkeys(numbers.values(), 1))  # replaced by the next
        store.add_ranking(board, {}, {numbers[team]: k for k, team in enumerate(order, 1)})
        store.close()
    folders = [str(tmp_path / "public"), str(tmp_path / "hidden")]
    assert run(["rank", "compare", *folders]) == EXIT_OK
    assert "Kendall's tau-b 0.800 [" in capsys.readouterr().out
    assert run(["rank", "compare", folders[0], str(tmp_path)]) == EXIT_USAGE
    assert "holds no ranking.sqlite3" in capsys.readouterr().err
    assert run(["rank", "compare", folders[0]]) == EXIT_USAGE
