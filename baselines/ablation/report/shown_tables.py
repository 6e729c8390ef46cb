"""The tables of a report as text, for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from baselines.ablation.analysis.analyse import Analysis
from baselines.ablation.analysis.conclusions import short
from baselines.ablation.analysis.effects import Effect
from baselines.ablation.analysis.least_squares import Share
from baselines.ablation.analysis.outcomes import OutcomeShare
from baselines.ablation.design.short_names import cell_names, effect_name, level_name
from bench.tables.escaping import markdown_text
from bench.tables.numbers import decimals_for, number, percent_in_column

ROUNDING = 1e-9  # relative to the interval: smaller values are only rounding
MAX_DIFFERENCES = 60  # rows shown; all are in tables/differences.csv


class ShownTable(NamedTuple):
    """Rows of text under headings. The first `num_text` columns are words, the others numbers;
    text after a line break is shown smaller.
    """

    anchor: str
    section: str
    title: str
    note: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    num_text: int = 1


def tables_of(analysis: Analysis) -> list[ShownTable]:
    """Return the tables of effects, shares of variance, cells, outcomes, differences from the base
    and sample efficiency; empty ones are omitted.
    """
    found = [
        _effects(analysis),
        _simple(analysis),
        _variance(analysis),
        _cells(analysis),
        _outcomes(analysis),
        _differences(analysis),
        _efficiency(analysis),
    ]
    return [table for table in found if table.rows]


def with_bounds(
    value: float,
    low: float | None,
    high: float | None,
    *,
    sign: bool = False,
    places: int | None = None,
) -> str:
    """Return "-4.2" above "[-6.1, -2.3]", or the value alone without an interval.

    Numbers have `places` decimals, or three significant digits for None.
    """
    if abs(value) < ROUNDING * max(abs(low or 0.0), abs(high or 0.0)):
        value = 0.0

    def text(number: float) -> str:
        if places is None:
            return short(number, sign=sign)
        return f"{round(number, places) + 0.0:{'+' if sign else ''},.{places}f}"

    if low is None or high is None:
        return text(value)
    return f"{text(value)}\n[{text(low)}, {text(high)}]"


def places_of(halves: Iterable[float]) -> int | None:
    """Return the decimals of a column, from half the width of each interval: as many as the median
    one justifies; None without intervals.
    """
    known = sorted(half for half in halves if half > 0)
    return decimals_for(known[len(known) // 2]) if known else None


def p_value_text(value: float | None) -> str:
    """Return three decimals, "< .001" for smaller values, and "-" for None."""
    if value is None:
        return "-"
    return "< .001" if value < 0.001 else f"{value:.3f}"


def _effects(analysis: Analysis) -> ShownTable:
    """Return a row for each effect and a column for each metric."""
    by_name: dict[str, dict[str, Effect]] = {}
    for one in analysis.effects:
        for effect in one.effects:
            by_name.setdefault(effect_name(effect), {})[one.metric] = effect
    metrics = [one.metric for one in analysis.effects]
    places = {
        one.metric: places_of(
            (effect.high - effect.low) / 2
            for effect in one.effects
            if effect.low is not None and effect.high is not None
        )
        for one in analysis.effects
    }
    rows = [
        (name, *(_effect_text(effects.get(metric), places[metric]) for metric in metrics))
        for name, effects in by_name.items()
    ]
    return ShownTable(
        "effects-table",
        "effects",
        "All effects",
        "One seed: no intervals."
        if analysis.has_one_seed
        else "With 95 % intervals over seeds; * significant after Holm's correction.",
        ("effect", *metrics),
        rows,
    )


def _simple(analysis: Analysis) -> ShownTable:
    """Return a row for each simple effect within a significant interaction."""
    rows = [
        (
            one.metric,
            level_name(one.factor, one.effect.levels[0]),
            f"{one.partner}={one.partner_level}",
            _effect_text(one.effect, None),
            p_value_text(one.effect.p_holm),
        )
        for one in analysis.simple
    ]
    return ShownTable(
        "simple-table",
        "effects",
        "Effects within significant interactions",
        "The effect of one factor in the runs in which the other has the level named, with 95 % "
        "intervals over seeds; * significant after Holm's correction over this table.",
        ("metric", "effect", "where", "change", "p, Holm"),
        rows,
        num_text=3,
    )


def _effect_text(effect: Effect | None, places: int | None) -> str:
    if effect is None:
        return "-"
    text = with_bounds(effect.estimate, effect.low, effect.high, sign=True, places=places)
    return text.replace("\n", "*\n") if effect.is_significant else text


def _variance(analysis: Analysis) -> ShownTable:
    """Return a row for each source and a column for each metric."""
    by_source: dict[str, dict[str, Share]] = {}
    for one in analysis.effects:
        for share in one.shares:
            by_source.setdefault(share.source, {})[one.metric] = share
    metrics = [one.metric for one in analysis.effects if one.shares]
    rows = [
        (source, *(_share_text(shares.get(metric)) for metric in metrics))
        for source, shares in by_source.items()
    ]
    return ShownTable(
        "variance-table",
        "effects",
        "Shares of variance",
        "Shares of the total sum of squares of the seed, each factor, each interaction and the "
        "residual. They add up to 100 % if every cell has every seed.",
        ("source", *metrics),
        rows,
    )


def _share_text(share: Share | None) -> str:
    return "-" if share is None else percent_in_column(max(share.share, 0.0))


def _cells(analysis: Analysis) -> ShownTable:
    """Return the means over the seeds of each cell, with the standard deviation of a run."""
    metrics, names = analysis.plan.metrics, cell_names(analysis.plan)
    places = {
        metric: places_of(analysis.final.groupby("cell", sort=False)[metric].std(ddof=1).dropna())
        for metric in metrics
    }

    def text(value: float | None, metric: str) -> str:
        decimals = places[metric]
        return number(value) if decimals is None or value is None else f"{value:,.{decimals}f}"

    rows = []
    for cell, own in analysis.final.groupby("cell", sort=False):
        texts = []
        for metric in metrics:
            known = own[metric].dropna()
            spread = f"\n± {text(float(known.std(ddof=1)), metric)}" if len(known) > 1 else ""
            texts.append(f"{text(float(known.mean()), metric)}{spread}" if len(known) else "none")
        rows.append((names[str(cell)], str(len(own)), *texts))
    goal = [text(analysis.perfect.get(metric), metric) for metric in metrics]
    rows.append(("real images", "", *goal))
    return ShownTable(
        "cells-table",
        "cells",
        "Cells",
        "One seed in each cell; diverged runs have no value."
        if analysis.has_one_seed
        else "Mean over seeds ± standard deviation of a run; diverged runs have no value.",
        ("cell", "runs", *metrics),
        rows,
    )


def _outcomes(analysis: Analysis) -> ShownTable:
    """Return the outcomes of each level and cell."""
    names = cell_names(analysis.plan)
    shares: list[tuple[str, OutcomeShare]] = [
        (f"{test.factor}: {one.group}", one) for test in analysis.factors for one in test.shares
    ]
    shares += [(names[one.group], one) for one in analysis.cells]
    if not any(one.num_diverged + one.num_collapsed for _, one in shares):
        shares = []
    rows = [
        (
            name,
            str(one.num_runs),
            str(one.num_diverged),
            str(one.num_collapsed),
            f"{percent_in_column(one.share)} "
            f"[{percent_in_column(one.low)}, {percent_in_column(one.high)}]",
        )
        for name, one in shares
    ]
    return ShownTable(
        "outcomes-table",
        "outcomes",
        "Diverged and collapsed runs",
        "The share of runs that diverged or collapsed, with Wilson's 95 % interval.",
        ("runs of", "runs", "diverged", "collapsed", "share"),
        rows,
    )


def _differences(analysis: Analysis) -> ShownTable:
    """Return the differences from the base on the first metric."""
    first = analysis.plan.metrics[0]
    names = cell_names(analysis.plan)
    own = [one for one in analysis.differences if one.metric == first][:MAX_DIFFERENCES]
    places = places_of(
        (one.high - one.low) / 2 for one in own if one.low is not None and one.high is not None
    )
    rows = [
        (
            names[one.cell],
            str(one.num_seeds),
            with_bounds(one.estimate, one.low, one.high, sign=True, places=places),
            "-" if one.standardised is None else f"{one.standardised:+.2f}",
            p_value_text(one.p_holm),
            p_value_text(one.p_sign_flip),
            "-" if one.seeds_needed is None else str(one.seeds_needed),
        )
        for one in own
    ]
    return ShownTable(
        "differences-table",
        "cells",
        f"{first} against the base cell, seed by seed",
        f"The base cell: {names[analysis.base]}. The standardised difference is in standard "
        "deviations of the differences. Seeds needed: for 80 % power in this comparison alone, at "
        "5 % without Holm's correction, if the estimate is the true difference.",
        ("cell", "seeds", "difference", "standardised", "p, Holm", "p, signs", "seeds needed"),
        rows,
    )


def _efficiency(analysis: Analysis) -> ShownTable:
    """Return the steps and the time of each cell until it is as good as the base."""
    first = analysis.plan.metrics[0]
    times = {one.name: one for one in analysis.cell_times}
    names = cell_names(analysis.plan)
    rows = []
    for one in analysis.efficiencies:
        if one.metric != first:
            continue
        time = times.get(one.cell)
        rows.append(
            (
                names[one.cell],
                "never" if one.median_steps is None else f"{one.median_steps:,.0f}",
                "-" if one.ratio is None else f"{one.ratio:.2f}",
                f"{one.num_censored} of {one.num_runs}",
                "-" if time is None else with_bounds(time.ratio, time.low, time.high),
            )
        )
    target = next((e.target for e in analysis.efficiencies if e.metric == first), None)
    return ShownTable(
        "efficiency-table",
        "tradeoffs",
        "Steps and time",
        f"Steps: the median over seeds of the steps until a run is as good as the median run of "
        f"the base at its end ({first} {number(target)}). Steps and training time are also given "
        "relative to the base.",
        ("cell", "steps", "relative steps", "never reached it", "relative time"),
        rows,
    )


def to_markdown(table: ShownTable) -> list[str]:
    """Return the lines of a Markdown table with its note."""
    heads = " | ".join(markdown_text(head) for head in table.heads)
    marks = "---|" * table.num_text + "---:|" * (len(table.heads) - table.num_text)
    lines = [f"| {heads} |", f"|{marks}"]
    lines += [f"| {' | '.join(map(markdown_text, row))} |" for row in table.rows]
    return [*lines, "", markdown_text(table.note), ""]


def in_section(tables: Sequence[ShownTable], section: str) -> list[ShownTable]:
    """Return the tables of a section."""
    return [table for table in tables if table.section == section]
