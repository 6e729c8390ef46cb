"""Effects in plain words: names, amounts, whether they are for the better."""

from __future__ import annotations

from baselines.ablation.analysis.coding import Term
from baselines.ablation.analysis.effects import Effect
from bench.metrics import METRICS
from bench.reporting.sentence import Tone

Which = tuple[str, Term, tuple[str, ...]]


def what(effect: Effect) -> str:
    """As "label-noise (on)", or "label-noise (on) with replay-buffer (on)"."""
    pairs = zip(effect.term, effect.levels, strict=True)
    return " with ".join(f"{factor} ({level})" for factor, level in pairs)


def which(effect: Effect) -> Which:
    """An effect, on values and on ranks alike."""
    return effect.metric, effect.term, effect.levels


def helps(metric: str, estimate: float) -> bool | None:
    """Whether such a change of a metric is for the better; None where the best is a target."""
    direction = METRICS[metric].direction if metric in METRICS else "target"
    if direction == "target" or estimate == 0:
        return None
    return (estimate > 0) == (direction == "higher")


def tone_of(metric: str, estimate: float) -> Tone:
    verdict = helps(metric, estimate)
    return "note" if verdict is None else "good" if verdict else "bad"


def amount(effect: Effect) -> str:
    """Estimate, interval and corrected p-value."""
    said = short(effect.estimate, sign=True)
    if effect.low is not None and effect.high is not None:
        said += f" [{short(effect.low, sign=True)}, {short(effect.high, sign=True)}]"
    if effect.p_holm is not None:
        said += f", p {p_words(effect.p_holm)} after Holm"
    return said


def short(value: float, *, sign: bool = False, digits: int = 3) -> str:
    """Three significant digits, thousands written out: "-0.0421", "+1,780", "2.1e+09"."""
    mark = "+" if sign else ""
    if 10**digits <= abs(value) < 1e7:
        return f"{float(f'{value:.{digits}g}'):{mark},.0f}"
    return f"{value:{mark}.{digits}g}"


def p_words(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.2g}"
