"""An ablation's plan, budget and what does not fit together, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from baselines.ablation.analysis.analysis import Analysis
from baselines.ablation.analysis.results import RunResult
from baselines.ablation.design.cells import Run
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.report.records import About
from baselines.recipes.table import recipe_config
from bench.reporting.sentence import Sentence
from bench.runtime.progress import duration
from bench.runtime.provenance import version
from bench.tables.numbers import counted, percent

Fact = tuple[str, str]


def full_steps(plan: AblationPlan) -> int:
    """Steps of the plan's recipe, whatever its budget."""
    return recipe_config(plan.recipe, data=plan.data, settings=plan.settings).num_steps


def budget(plan: AblationPlan, runs: Sequence[Run]) -> str:
    """As "1,000 steps (2.1 % of the recipe's 46,900)"."""
    steps = sorted({run.config.num_steps for run in runs})
    full = full_steps(plan)
    told = " or ".join(f"{number:,}" for number in steps)
    if steps == [full]:
        return f"{told} steps, the recipe's own"
    return f"{told} steps ({percent(steps[0] / full)} of the recipe's {full:,})"


def title_of(plan: AblationPlan) -> str:
    return f"Ablation {plan.name}: {plan.recipe} on {plan.data}"


def design_facts(plan: AblationPlan, runs: Sequence[Run]) -> list[Fact]:
    """What is compared with what, how often and how long."""
    found = [
        ("recipe", " ".join([plan.recipe, *plan.settings])),
        ("data", plan.data),
        *(
            (f"factor {factor.name}", ", ".join(
                f"{level.name}: {' '.join(level.settings) or 'as it is'}"
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
        ("measured after", " ".join(f"{step:,}" for step in runs[0].evaluations) + " steps"),
        ("images scored", f"{plan.num_images:,} each time, from the same latents in every cell"),
        ("reference", plan.reference or plan.data),
    ]


def run_facts(described: About, results: Mapping[str, RunResult]) -> list[Fact]:
    """Where and how long it ran, and by what the scores are."""
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
    """What the results of one ledger should have in common and have not."""
    said = []
    for what, values, why in (
        (
            "images",
            [r.data_digest for r in results.values()],
            "the data changed between runs, so that their differences say nothing: use another "
            "ledger",
        ),
        (
            "protocols of scoring",
            [r.protocol for r in results.values()],
            "values of different references, extractors or versions of the code may differ",
        ),
        (
            "devices",
            [r.device for r in results.values()],
            "their times cannot be compared, and scores differ by rounding",
        ),
    ):
        counts = Counter(value for value in values if value is not None)
        if len(counts) > 1:
            told = "; ".join(
                f"{_short(value, counts)} in {counted(count, 'run')}"
                for value, count in counts.items()
            )
            verb = "trained on" if what == "images" else "of"
            said.append(
                Sentence("bad", f"The results are {verb} {len(counts)} different {what} ({told}): "
                                f"{why}.")
            )  # fmt: skip
    return said


def _short(value: str, all_values: Iterable[str]) -> str:
    """Of a digest the beginning, of a protocol the parts that others have not."""
    if len(value) == 64:
        return value[:8]
    parts = [set(one.split("|")) for one in all_values]
    own = [part for part in value.split("|") if not all(part in one for one in parts)]
    return "|".join(own) or value


def _settings(plan: AblationPlan) -> str:
    told = ", ".join(plan.settings)
    return f", and in every cell {told} in place of the recipe's own" if told else ""


def summary(
    analysis: Analysis, described: About, runs: Sequence[Run], results: Mapping[str, RunResult]
) -> list[Sentence]:
    """The conclusion in words, with what limits it first."""
    said = [Sentence("note", described.note)] if described.note else []
    said += conflicts(results)
    if described.cpu_sized:
        said.append(
            Sentence(
                "note",
                f"CPU-sized: {budget(analysis.plan, runs)}, {analysis.plan.num_images:,} images"
                f"{_settings(analysis.plan)}. This shows what can be seen so early, not what holds "
                "at full length.",
            )
        )
    return [*said, *analysis.sentences]
