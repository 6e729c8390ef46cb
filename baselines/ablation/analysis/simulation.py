"""False alarms and power of the analysis, on simulated tables with known effects."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from baselines.ablation.analysis.coding import Term
from baselines.ablation.analysis.effects import analysed
from baselines.ablation.analysis.results import CELL, FINISHED, OUTCOME, SEED
from baselines.ablation.design.cells import label_of
from bench.statistics.intervals import LEVEL, wilson

METRIC = "fid"
Noise = Callable[[np.random.Generator, int], "np.typing.NDArray[np.float64]"]


class Simulated(NamedTuple):
    """Shares of simulated tables: with at least one true null significant after Holm's correction
    (`false_alarm`), of true nulls with p < .05 (`uncorrected`), of intervals that contain the true
    value (`coverage`), and of tables in which each true effect is found, after correction (`power`)
    and before.
    """

    num_tables: int
    false_alarm: float
    false_alarm_high: float
    uncorrected: float
    coverage: float
    power: dict[str, float]
    power_uncorrected: dict[str, float]


def simulated_table(
    generator: np.random.Generator,
    *,
    num_factors: int = 4,
    num_seeds: int = 5,
    effects: Mapping[Term, float] | None = None,
    seed_sd: float = 1.0,
    noise: Noise | None = None,
) -> pd.DataFrame:
    """Return a final table of the 2^k factorial with factors A, B, ... at levels off and on.

    `effects` are contrasts as `coding.contrast` defines them, in residual standard deviations: a
    term of m factors adds effect / 2^m times the product of its signs.
    """
    names = [chr(ord("A") + place) for place in range(num_factors)]
    rows = []
    for chosen in itertools.product((0, 1), repeat=num_factors):
        signs = {name: 2 * level - 1 for name, level in zip(names, chosen, strict=True)}
        mean = sum(
            size / 2 ** len(term) * float(np.prod([signs[name] for name in term]))
            for term, size in (effects or {}).items()
        )
        levels = {name: ("off", "on")[level] for name, level in zip(names, chosen, strict=True)}
        for seed in range(num_seeds):
            rows.append({CELL: label_of(levels), SEED: seed, OUTCOME: FINISHED, **levels})
            rows[-1][METRIC] = mean
    frame = pd.DataFrame(rows)
    drawn = (noise or np.random.Generator.standard_normal)(generator, len(frame))
    block = seed_sd * generator.standard_normal(num_seeds)
    return frame.assign(**{METRIC: frame[METRIC] + drawn + block[frame[SEED]]})


def simulate(
    num_tables: int = 1_000,
    *,
    effects: Mapping[Term, float] | None = None,
    num_factors: int = 4,
    num_seeds: int = 5,
    noise: Noise | None = None,
    seed: int = 0,
) -> Simulated:
    """Analyse simulated tables. Without `effects` there are one main effect of 1 standard deviation
    and one interaction of 2.
    """
    true = {("A",): 1.0, ("B", "C"): 2.0} if effects is None else effects
    generator = np.random.default_rng(seed)
    levels = {chr(ord("A") + place): ("off", "on") for place in range(num_factors)}
    alarms = covered = nulls = intervals = raw = 0
    hits = dict.fromkeys(true, 0)
    raw_hits = dict.fromkeys(true, 0)
    for _ in range(num_tables):
        frame = simulated_table(
            generator,
            num_factors=num_factors,
            num_seeds=num_seeds,
            effects=true,
            noise=noise,
        )
        alarm = False
        for effect in analysed(frame, levels, [METRIC])[0].effects:
            assert effect.p_value is not None  # noqa: S101  (normal noise has a variance)
            assert effect.low is not None  # noqa: S101
            assert effect.high is not None  # noqa: S101
            size = true.get(effect.term, 0.0)
            intervals += 1
            covered += effect.low <= size <= effect.high
            if size == 0:
                nulls += 1
                raw += effect.p_value < 1 - LEVEL
                alarm |= effect.is_significant
            else:
                hits[effect.term] += effect.is_significant
                raw_hits[effect.term] += effect.p_value < 1 - LEVEL
        alarms += alarm
    return Simulated(
        num_tables,
        alarms / num_tables,
        wilson(alarms, num_tables).high,
        raw / max(nulls, 1),
        covered / intervals,
        {" x ".join(term): count / num_tables for term, count in hits.items()},
        {" x ".join(term): count / num_tables for term, count in raw_hits.items()},
    )
