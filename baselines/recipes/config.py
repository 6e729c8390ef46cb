"""`RunConfig`: everything that a trained model depends on, in one frozen, printable record.

A raw configuration (a recipe's settings, then `--set key=value`) is completed: options of the
model and of each trick get their defaults, and tricks that a loss or another trick needs are
switched on. The complete configuration is printed, digested and saved.

    key=value                       a field: loss, batch_size, num_steps, learning_rate, ...
    model.KEY=value                 an option of the model
    tricks.NAME=on|off              a trick, with its defaults; one that a loss needs cannot be off
    tricks.NAME.KEY=value           an option of a trick, which is switched on

Importing this module loads no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from baselines.models import MODELS, model_row
from baselines.models.base import Model, Options
from baselines.models.losses import LOSSES, Loss, loss_row
from baselines.tricks import TRICKS
from baselines.tricks.base import RunFacts, Trick
from bench.errors import UnknownNameError, UsageError
from bench.intake import parse_size

DEFAULT_LOSS = "non-saturating"
MAX_INTEGER = 2**40
UNUSED = {"adam": (), "rmsprop": ("beta1", "beta2"), "sgd": ("beta2",)}  # settings by optimiser
ON, OFF = ("on", True), ("off", False)
TRAINED = "trained"  # key of the validation context: the run exists


class ActiveTrick(NamedTuple):
    """A trick that is on, with its options."""

    trick: Trick
    options: Options


class RunConfig(BaseModel):
    """The complete configuration of one training run.

    Likelihood models (autoencoders, VAEs) and embeddings have neither loss nor tricks; their
    objective is among the model's options.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    recipe: str
    data: str = "mnist"
    resize: str | None = (
        None  # WIDTHxHEIGHT in px that training images of other sizes are brought to
    )
    seed: int = Field(0, ge=0, lt=2**63)
    model: str
    model_options: dict[str, Any] = Field(default_factory=dict)
    loss: str | None = None
    tricks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    batch_size: int = Field(64, ge=2, le=2**20)
    # updates of the generator, or of the autoencoder
    num_steps: int = Field(20_000, ge=1, le=2**40)
    optimiser: Literal["adam", "rmsprop", "sgd"] = "adam"
    learning_rate: float = Field(2e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "float32"

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: object) -> object:
        if not isinstance(raw, Mapping) or "model" not in raw:
            return raw
        for key, value in raw.items():
            if isinstance(value, bool):  # pydantic accepts it for 0 and 1
                raise UsageError(f"{key}={json.dumps(value)}: expected a value, not true or false")
        model = model_row(str(raw["model"]))
        whole = dict(raw)
        whole["model_options"] = checked_options(
            model.options, raw.get("model_options") or {}, f"model {model.name!r}"
        ).model_dump(mode="json")
        if model.kind == "adversarial":
            whole["loss"] = raw.get("loss") or DEFAULT_LOSS
        whole["tricks"] = _completed_tricks(raw.get("tricks") or {}, whole.get("loss"))
        return whole

    @field_validator("resize")
    @classmethod
    def _size(cls, text: str | None) -> str | None:
        size = None if text is None else parse_size(text)
        return None if size is None else f"{size.width}x{size.height}"

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> RunConfig:
        if self.model_row.kind != "adversarial":
            if self.loss is not None:
                raise UsageError(f"model {self.model!r} has its own objective; leave out the loss")
            if self.tricks:
                raise UsageError(
                    f"trick {next(iter(self.tricks))!r}: tricks are for GANs, and model "
                    f"{self.model!r} is not one"
                )
            return self
        if (info.context or {}).get(TRAINED):
            return self
        facts = RunFacts(self.model_row, self.parsed_model_options, self.loss_row)
        for trick, options in self.active:
            reason = None if trick.refuse is None else trick.refuse(facts, options)
            if reason is not None:
                raise UsageError(f"trick {trick.name!r} cannot be used here: {reason}")
            for other in self.tricks:
                if other in trick.conflicts:
                    raise UsageError(
                        f"tricks {trick.name!r} and {other!r} cannot be combined: "
                        f"{trick.conflicts[other]}"
                    )
        return self

    @property
    def model_row(self) -> Model:
        """The model's row of the table."""
        return model_row(self.model)

    @property
    def loss_row(self) -> Loss:
        """The loss's row of the table. Raises `UsageError` for a likelihood model."""
        if self.loss is None:
            raise UsageError(f"model {self.model!r} has no adversarial loss")
        return loss_row(self.loss)

    @property
    def parsed_model_options(self) -> Any:
        """The model's options as an instance of its `Options` class."""
        return self.model_row.options(**self.model_options)

    @property
    def active(self) -> tuple[ActiveTrick, ...]:
        """The tricks that are on, in the order of the table."""
        return tuple(
            ActiveTrick(TRICKS[name], TRICKS[name].options(**self.tricks[name]))
            for name in TRICKS
            if name in self.tricks
        )

    @property
    def without_effect(self) -> dict[str, str]:
        """Settings that have no effect in this run, each with the reason."""
        reason = f"optimiser {self.optimiser!r} does not use it"
        return dict.fromkeys(UNUSED[self.optimiser], reason) | {
            key: f"trick {trick.name!r} replaces it by "
            + " and ".join(f"tricks.{trick.name}.{option}" for option in trick.options.model_fields)
            for trick, _ in self.active
            for key in trick.overrides
        }

    @property
    def identity(self) -> dict[str, Any]:
        """The complete configuration as JSON values, which digests and keys of jobs are made of. A
        setting added later is left out at its default, so that older ledgers stay valid.
        """
        return self.model_dump(mode="json", exclude=None if self.resize else {"resize"})

    @property
    def digest(self) -> str:
        """SHA-256 digest of the complete configuration, as hexadecimal text."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()


def checked_options(kind: type[Options], given: Mapping[str, Any], owner: str) -> Options:
    """Return the options of a model or trick, with defaults.

    Raises `UnknownNameError` for an unknown key and `UsageError` for a bad value; both name the
    owner.
    """
    for key, value in given.items():
        if key not in kind.model_fields:
            raise UnknownNameError(f"option of {owner}", str(key), kind.model_fields)
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise UsageError(f"{owner}: {key}={value}: expected at most {MAX_INTEGER}")
    try:
        return kind(**given)
    except ValidationError as error:
        raise UsageError(f"{owner}: {_format_errors(error)}") from error


def _completed_tricks(given: Mapping[str, Any], loss: str | None) -> dict[str, dict[str, Any]]:
    """Return the options of every trick that is on, including those that the loss or another trick
    needs.

    Options of False switch a trick off. Raises `UsageError` if the loss or another trick needs it.
    """
    wanted: dict[str, Mapping[str, Any]] = {}
    off = {name for name, options in given.items() if options is False}
    implied = LOSSES[loss].implies if loss in LOSSES else {}
    reasons = dict.fromkeys(implied, f"loss {loss!r}")
    pending = {**implied, **{name: options for name, options in given.items() if name not in off}}
    while pending:
        name, options = pending.popitem()
        trick = TRICKS.find(name)
        if name in off:
            raise UsageError(f"trick {name!r} cannot be off: {reasons[name]} needs it")
        wanted[name] = {**implied.get(name, {}), **options}
        reasons |= dict.fromkeys(trick.requires, f"trick {name!r}")
        pending |= {other: {} for other in trick.requires if other not in wanted}
    return {
        name: checked_options(TRICKS[name].options, wanted[name], f"trick {name!r}").model_dump(
            mode="json"
        )
        for name in TRICKS
        if name in wanted
    }


def make_config(raw: Mapping[str, Any], *, trained: bool = False) -> RunConfig:
    """Return the complete configuration of raw settings. Raises `UsageError` naming the bad one.

    `trained` accepts combinations of tricks that a new run may not have: an earlier version may
    have trained them.

    >>> config = make_config({"recipe": "mine", "model": "dcgan", "loss": "wgan-gp",
    ...                       "model_options": {"batch_norm_discriminator": False}})
    >>> config.tricks  # the loss brings them
    {'discriminator-steps': {'num_steps': 5}, 'gradient-penalty': {'weight': 10.0}}
    """
    for key in raw:
        if key not in RunConfig.model_fields:
            raise UnknownNameError("setting", str(key), valid_keys(str(raw.get("model"))))
    if raw.get("loss") is not None:
        loss_row(str(raw["loss"]))
    try:
        return RunConfig.model_validate(dict(raw), context={TRAINED: trained})
    except ValidationError as error:
        raise UsageError(f"configuration: {_format_errors(error)}") from error


def with_settings(raw: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return raw settings changed by `key=value` texts; values are JSON, or plain text.

    Raises `UsageError` for a text of another form and `UnknownNameError`, which lists the valid
    keys, for an unknown key.

    >>> with_settings({"model": "dcgan"}, ["num_steps=100", "tricks.ema=on", "model.width=32"])
    {'model': 'dcgan', 'model_options': {'width': 32}, 'tricks': {'ema': {}}, 'num_steps': 100}
    """
    found: dict[str, Any] = {
        **raw,
        "model_options": dict(raw.get("model_options", {})),
        "tricks": {name: dict(options) for name, options in raw.get("tricks", {}).items()},
    }
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {setting!r}: expected key=value")
        _put(found, key, _value(text))
    return found


def valid_keys(model: str | None = None) -> list[str]:
    """Return every key that `--set` accepts. Recipe, data and seed have their own options."""
    fields = set(RunConfig.model_fields) - {"recipe", "data", "seed", "model_options", "tricks"}
    options = MODELS[model].options.model_fields if model in MODELS else ()
    return [*sorted(fields), *(f"model.{key}" for key in options), *(f"tricks.{n}" for n in TRICKS)]


def _put(found: dict[str, Any], key: str, value: Any) -> None:
    head, _, rest = key.partition(".")
    if head == "tricks" and rest:
        name, _, option = rest.partition(".")
        trick = TRICKS.find(name)
        if option:
            if option not in trick.options.model_fields:
                raise UnknownNameError(
                    f"option of trick {name!r}", option, trick.options.model_fields
                )
            found["tricks"][name] = {**(found["tricks"].get(name) or {}), option: value}
        elif value in OFF:
            found["tricks"][name] = False
        elif value in ON:
            found["tricks"][name] = found["tricks"].get(name) or {}
        else:
            raise UsageError(
                f"--set {key}={value}: expected on or off; an option is {key}.OPTION=VALUE"
            )
    elif head == "model" and rest:
        found["model_options"][rest] = value
    elif key in valid_keys():
        found[key] = value
    else:
        raise UnknownNameError("setting", key, valid_keys(str(found.get("model"))))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _format_errors(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, entry['loc'])) or 'value'}: {entry['msg']}" for entry in error.errors()
    )
