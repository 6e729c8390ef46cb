"""From a recipe's name and settings to the configurations and folder names of runs.

Importing this module loads no torch, so that `latentbench train --dry-run` is quick.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from baselines.recipes.config import RunConfig
from baselines.recipes.table import recipe_config
from bench.errors import UsageError

Settings = Mapping[str, object] | Iterable[str]


def run_configs(
    recipe: str, seeds: Sequence[int], *, data: str | Path = "mnist", settings: Settings = ()
) -> list[RunConfig]:
    """Return the complete configurations of a recipe, one for each seed.

    Raises `UsageError` for unknown names, bad values and settings without effect.

    >>> [run_name(config) for config in run_configs("vae", [0, 1])]
    ['vae-mnist-0', 'vae-mnist-1']
    """
    if not seeds:
        raise UsageError("no seed to train with; give one or more")
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds {list(seeds)}: a seed appears twice and would train the same run")
    if not isinstance(data, str | Path):
        raise UsageError(f"data of {type(data).__name__}: expected a name or the path of images")
    texts = settings_texts(settings)
    configs = [recipe_config(recipe, data=str(data), seed=seed, settings=texts) for seed in seeds]
    unused = configs[0].without_effect
    for text in texts:
        key = text.partition("=")[0]
        if key in unused:
            raise UsageError(f"--set {text!r} has no effect: {unused[key]}")
    return configs


def settings_texts(settings: Settings) -> list[str]:
    """Return settings as `key=value` texts. Raises `UsageError` for other types.

    >>> settings_texts({"tricks.ema": True, "batch_size": 32})
    ['tricks.ema=true', 'batch_size=32']
    """
    if isinstance(settings, Mapping):
        return [
            f"{key}={value if isinstance(value, str) else json.dumps(value, default=_as_python)}"
            for key, value in settings.items()
        ]
    if isinstance(settings, str) or not isinstance(settings, Iterable):
        raise UsageError(f"settings {settings!r}: expected a mapping or a list of key=value")
    texts = list(settings)
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"setting {text!r}: expected a text, key=value")
    return texts


def _as_python(value: object) -> object:
    """Convert a number of NumPy or torch. Raises `UsageError` for any other type."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        number: object = value.item()
        return number
    raise UsageError(f"a setting of {type(value).__name__}: expected a text, number or list")


def run_name(config: RunConfig) -> str:
    """Return the name of a run's folder: RECIPE-DATA-SEED, followed by a digest of the settings
    that differ from the recipe, if any do.
    """
    data = config.data
    stem = Path(data).stem if "/" in data or Path(data).suffix else data.rpartition(":")[2]
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in stem)
    name = f"{config.recipe}-{safe.lstrip('.') or 'data'}-{config.seed}"
    recipe = recipe_config(config.recipe, data=data, seed=config.seed).model_dump(mode="json")
    changed = {
        key: value for key, value in config.model_dump(mode="json").items() if value != recipe[key]
    }
    if not changed:
        return name
    text = json.dumps(changed, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
