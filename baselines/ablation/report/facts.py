"""Facts about an ablation as text: plan, budget, runs, and results that do not fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from baselines.ablation.analysis.analyse import Analysis
from baselines.ablation.analysis.results import RunResult
from baselines.ablation.design.cells import Run
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.report.folder import About
from baselines.recipes.table import recipe_config
from bench.reporting.sentence import Sentence
from bench.runtime.amounts import duration
from bench.runtime.provenance import version
from bench.tables.numbers import counted, percent

Fact = tuple[str, str]


def full_steps(plan: AblationPlan) -> int:
    """Return the steps of the plan's recipe, whatever its budget."""
    return recipe_config(plan.recipe, data=plan.data, settings=plan.settings).num_steps


def budget(plan: AblationPlan, runs: Sequence[Run]) -> str:
    """Return a text such as "1,000 steps (2.1 % of the recipe's 46,900)"."""
    steps = sorted({run.config.num_steps for run in runs})
    full = full_steps(plan)
    numbers = " or ".join(f"{number:,}" for number in steps)
    if steps == [full]:
        return f"{numbers} steps, the recipe's own"
    return f"{numbers} steps ({percent(steps[0] / full)} of the recipe's {full:,})"


def title_of(plan: AblationPlan) -> str:
    """Return the title of a plan's page."""
    return f"Ablation {plan.name}: {plan.recipe} on {plan.data}"


def short_facts(described: About, runs: Sequence[Run]) -> list[str]:
    """Return the facts printed below the title of a page."""
    plan = described.parsed_plan
    found = [
        f"{counted(len(plan.made_design.cells), 'cell')}, {plan.design}",
        counted(len(plan.seeds), "seed"),
        budget(plan, runs),
        f"{plan.num_images:,} images scored",
    ]
    return [*found, "CPU-sized"] if described.cpu_sized else found


def design_facts(plan: AblationPlan, runs: Sequence[Run]) -> list[Fact]:
    """Return the plan as facts: factors, design, seeds, budget, scoring."""
    found = [
        ("recipe", " ".join([plan.recipe, *plan.settings])),
        ("data", plan.data),
        *(
            (f"factor {factor.name}", ", ".join(
                f"{level.name}: {' '.join(level.settings) or 'no change'}"
                for level in factor.levels
            ))
            for factor in plan.factors
        ),
        ("design", f"{plan.design}, {counted(len(plan.made_design.cells), 'cell')}"),
    ]  # fmt: skip
    fraction = plan.made_design.fraction
    if fraction is not None:
        found.append(("fraction", fraction.name))
        found += [
            ("generator", f"{added} = {' x '.join(word)}")
            for added, word in fraction.generators.items()
        ]
        found += [
            ("aliases", f"{factor} = {' = '.join(map(str, fraction.aliases((factor,))))}")
            for factor in fraction.factors
            if fraction.aliases((factor,))
        ]
    return [
        *found,
        ("seeds", ", ".join(map(str, plan.seeds))),
        ("budget", budget(plan, runs)),
        ("evaluated after", " ".join(f"{step:,}" for step in runs[0].evaluations) + " steps"),
        ("images scored", f"{plan.num_images:,} each time, from the same latents in every cell"),
        ("reference", plan.reference or plan.data),
    ]


def run_facts(described: About, results: Mapping[str, RunResult]) -> list[Fact]:
    """Return where and how long the runs took, and how they were scored."""
    times = [result.train_s for result in results.values() if result.train_s is not None]
    scoring = [(r.sample_s or 0.0) + (r.score_s or 0.0) for r in results.values()]
    stacks = sorted({result.stacked for result in results.values()})
    return [
        ("device", ", ".join(sorted({r.device for r in results.values() if r.device}))),
        (
            "time",
            f"{duration(sum(times))} of training in all runs, {duration(sum(scoring))} of "
            "sampling and scoring",
        ),
        ("trained together", ", ".join(map(str, stacks)) if stacks != [1] else "each run alone"),
        ("protocol", "; ".join(sorted({r.protocol for r in results.values() if r.protocol}))),
        ("latentbench", version()),
        ("command", described.command),
    ]


def conflicts(results: Mapping[str, RunResult]) -> list[Sentence]:
    """Return what the results of one ledger should have in common but do not."""
    found = []
    for what, values, why in (
        (
            "sets of training images",
            [r.data_digest for r in results.values()],
            "the data changed between runs, so their differences mean nothing; use another ledger",
        ),
        (
            "scoring protocols",
            [r.protocol for r in results.values()],
            "values of different references, extractors or versions of the code may differ",
        ),
        (
            "devices",
            [r.device for r in results.values()],
            "times cannot be compared, and scores differ by rounding",
        ),
    ):
        counts = Counter(value for value in values if value is not None)
        if len(counts) > 1:
            values_text = "; ".join(
                f"{_short(value, counts)} in {counted(count, 'run')}"
                for value, count in counts.items()
            )
            text = f"The results have {len(counts)} different {what} ({values_text}): {why}."
            found.append(Sentence("bad", text))
    return found


def _short(value: str, all_values: Iterable[str]) -> str:
    """Return the beginning of a digest, or the parts of a protocol that others lack."""
    if len(value) == 64:
        return value[:8]
    parts = [set(one.split("|")) for one in all_values]
    own = [part for part in value.split("|") if not all(part in one for one in parts)]
    return "|".join(own) or value


def _settings(plan: AblationPlan) -> str:
    return f"; settings of every cell: {', '.join(plan.settings)}" if plan.settings else ""


def summary(
    analysis: Analysis, described: About, runs: Sequence[Run], results: Mapping[str, RunResult]
) -> list[Sentence]:
    """Return the conclusions, with what limits them first."""
    found = conflicts(results)
    if described.cpu_sized:
        text = (
            f"CPU-sized: {budget(analysis.plan, runs)}, {analysis.plan.num_images:,} images"
            f"{_settings(analysis.plan)}. The results hold for this short training, not for the "
            "full length."
        )
        found.append(Sentence("note", text))
    return [*found, *analysis.sentences]
