"""`AblationPlan`: what an ablation compares, read from a TOML file or a preset.

`example_plan` returns a file with every key explained. The base cell, which others are compared
with, has the first level of every factor; in a leave-one-out design it has the last level of every
factor.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from baselines.ablation.design.designs import Design, Kind, make_design
from baselines.ablation.design.factors import Factor, parse_factors, refuse_doubles
from baselines.recipes.table import recipe_config
from baselines.sampling.sampler import SamplingOptions
from bench.errors import UnknownNameError, UsageError, reason_of
from bench.metrics import METRICS

# Strict: 100.0, "100" and true are not accepted as numbers of steps.
Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]

MAX_SEEDS = 10_000
MAX_IMAGES = 1_000_000  # sampled together and held in memory
MAX_NAME = 100  # characters of a plan's name, which also names a folder

DEFAULT_METRICS = (
    "fid",
    "kid_poly3",
    "precision_k3",
    "recall_k3",
    "density_k5",
    "coverage_k5",
    "modes_covered",
)
# Columns of the result tables and their analysis, which a factor of that name would hide.
RESERVED = frozenset(
    {"cell", "seed", "step", "outcome", "reason", "train_s", "key", "state", "good", "log_train_s",
     "residual"}
)  # fmt: skip


def example_plan() -> str:
    """Return a plan file in TOML that runs as it is, with every key explained in a comment.

    >>> plan = parse_plan(tomllib.loads(example_plan()))
    >>> plan.name, len(plan.made_design.cells), plan.seeds
    ('example', 4, (0, 1, 2))
    """
    return files(__package__).joinpath("example.toml").read_text(encoding="utf-8")


class AblationPlan(BaseModel):
    """A plan, with the keys that `example_plan` explains. Construction checks everything except the
    configurations of the cells, which `baselines.ablation.design.cells.make_runs` builds before
    anything runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=MAX_NAME)
    recipe: str
    settings: tuple[str, ...] = ()
    factors: tuple[Factor, ...]
    design: Kind = "full-factorial"
    resolution: Annotated[int, Field(strict=True)] | None = None
    seeds: tuple[Seed, ...] = (0, 1, 2, 3, 4)
    num_steps: Count | None = None
    share: float | None = Field(None, gt=0, le=1, strict=True)  # of the recipe's steps
    num_evaluations: Count = 5
    data: str = "mnist"
    metrics: tuple[str, ...] = DEFAULT_METRICS
    num_images: int = Field(10_000, ge=2, le=MAX_IMAGES, strict=True)
    reference: str | None = None
    extractor: str | None = None
    sampling: SamplingOptions = Field(default_factory=SamplingOptions)

    @field_validator("factors", mode="before")
    @classmethod
    def _short_forms(cls, raw: object) -> object:
        return tuple(parse_factors(raw))

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, raw: object) -> object:
        if isinstance(raw, int) and not isinstance(raw, bool):
            if not 1 <= raw <= MAX_SEEDS:
                raise UsageError(f"seeds = {raw}: expected 1 to {MAX_SEEDS:,}, or a list")
            return tuple(range(raw))
        if not isinstance(raw, list | tuple):
            raise UsageError(f"seeds = {raw!r}: expected a whole number, or a list of them")
        return raw

    @model_validator(mode="after")
    def _consistent(self) -> AblationPlan:
        if not self.factors:
            raise UsageError(f"plan {self.name!r} has no factors, so nothing would vary")
        if not self.seeds:
            raise UsageError(f"plan {self.name!r} has no seeds; give a number or a list")
        names = [factor.name for factor in self.factors]
        refuse_doubles(names, "factor")
        refuse_doubles(map(str, self.seeds), "seed")
        refuse_doubles(self.metrics, "metric")
        for name in self.metrics:
            if name not in METRICS:
                raise UnknownNameError("metric", name, METRICS)
        if not self.metrics:
            raise UsageError(f"plan {self.name!r} has no metrics; valid: {', '.join(METRICS)}")
        for name in names:
            if name in RESERVED or name in METRICS:
                raise UsageError(f"factor {name!r}: the tables already have a column of that name")
        for one, other in itertools.combinations(self.factors, 2):
            both = sorted(one.keys & other.keys)
            if both:
                raise UsageError(
                    f"factors {one.name!r} and {other.name!r} both set {both[0]!r}, so one "
                    "would undo the other; make them levels of one factor"
                )
        if self.num_steps is not None and self.share is not None:
            raise UsageError("num_steps and share both set the length; give only one")
        _ = self.made_design  # raises for an impossible design
        _ = self.budget  # raises for an unknown recipe or setting
        return self

    @cached_property
    def made_design(self) -> Design:
        """Return the cells as level numbers."""
        names = [factor.name for factor in self.factors]
        sizes = [len(factor.levels) for factor in self.factors]
        return make_design(self.design, names, sizes, self.resolution)

    @cached_property
    def budget(self) -> tuple[str, ...]:
        """Return the setting of the number of steps, or () for the recipe's own."""
        full = recipe_config(self.recipe, data=self.data, settings=self.settings).num_steps
        if self.num_steps is not None:
            return (f"num_steps={self.num_steps}",)
        if self.share is not None:
            return (f"num_steps={max(1, math.ceil(full * self.share))}",)
        return ()

    @property
    def levels(self) -> dict[str, tuple[str, ...]]:
        """Return the level names of each factor, the base first, as the analysis takes them."""
        return {factor.name: factor.level_names for factor in self.factors}


def parse_plan(raw: Mapping[str, Any], source: str = "plan") -> AblationPlan:
    """Return a plan from the keys of a TOML file. Raises `UsageError` naming source and key."""
    for key in raw:
        if key not in AblationPlan.model_fields:
            raise UnknownNameError(f"key of {source}", str(key), AblationPlan.model_fields)
    try:
        return AblationPlan.model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "plan"
        raise UsageError(f"{source}: {where}: {first['msg']}") from error
    except UnknownNameError:
        raise
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from error


def read_plan(path: Path) -> AblationPlan:
    """Return the plan in a TOML file, named after the file if it has no name.

    Raises `UsageError` naming the file and the problem.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {reason_of(error)}") from error
    except tomllib.TOMLDecodeError as error:  # names line and column
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{path}: not a plan: its values are nested too deeply") from error
    return parse_plan({"name": path.stem, **raw}, str(path))
