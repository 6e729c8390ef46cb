"""From a recipe's name and settings to the configurations and folder names of runs.

Importing this module loads no torch, so that `latentbench train --dry-run` is quick.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from baselines.recipes.config import RunConfig
from baselines.recipes.table import recipe_config
from baselines.tricks import TRICKS
from bench.errors import UsageError
from bench.intake import split_array_name

Settings = Mapping[str, object] | Iterable[str]
MAX_CHANGES = 80  # characters of a folder's name


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
    """Return the name of a run's folder: RECIPE-DATA-SEED, followed by the settings that differ
    from the recipe, and by a digest of them where the name cannot hold them all as they are.

    >>> settings = ["tricks.ema=on", "learning_rate=1e-4", "model.latent_dim=32"]
    >>> [run_name(config) for config in run_configs("course-gan", [3], settings=settings)]
    ['course-gan-mnist-3-latent_dim=32-ema-learning_rate=0.0001']
    """
    data = config.data
    file, array = split_array_name(data)
    is_path = "/" in data or file.suffix
    stem = file.stem if is_path else data.rpartition(":")[2]
    stem += "" if array is None else f"_{array}"
    name = f"{config.recipe}-{_safe(stem).lstrip('.') or 'data'}-{config.seed}"
    before = recipe_config(config.recipe, data=data, seed=config.seed)
    changes = _changes(config, before)
    if not changes:
        return name
    given = "-".join(changes)
    text = _safe(given)[:MAX_CHANGES]
    if text == given:
        return f"{name}-{text}"
    digest = hashlib.sha256(json.dumps(changes).encode()).hexdigest()[:6]
    return f"{name}-{text.rstrip('-=.')}-{digest}"


def _safe(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-=") else "_" for c in text)


def _changes(config: RunConfig, before: RunConfig) -> list[str]:
    """Return each difference as `key=value`; a trick as its name, or `no-NAME`."""
    changes = []
    old_values = before.model_dump(mode="json")
    for key, value in config.model_dump(mode="json").items():
        old = old_values[key]
        if key == "tricks":
            changes += [
                change for name in {**old, **value} for change in _of_trick(name, old, value)
            ]
        elif key == "model_options":
            changes += [f"{k}={_text(v)}" for k, v in value.items() if v != old.get(k)]
        elif value != old:
            changes.append(f"{key}={_text(value)}")
    return changes


def _of_trick(
    name: str, old: Mapping[str, dict[str, Any]], new: Mapping[str, dict[str, Any]]
) -> list[str]:
    """Return what changed about one trick."""
    if name not in new:
        return [f"no-{name}"]
    usual = old.get(name)
    added = [] if usual is not None else [name]
    if usual is None:
        usual = TRICKS.find(name).options().model_dump(mode="json")
    options = {key: value for key, value in new[name].items() if value != usual.get(key)}
    return added + [f"{name}.{key}={_text(value)}" for key, value in options.items()]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "+".join(map(_text, value)) if isinstance(value, list) else str(value)
