"""The table of preset plans.

    tricks     the 2^4 factorial of the students' four improvements, on DCGAN
    course     the same on the course generator
    vae-beta   the weight of the divergence in a dense VAE
    latent     size and distribution of the course generator's latent

Every base is the old form: plain labels, no buffer, no minibatch layer, the minimax loss. A level
that asks for what a trick requires brings that along: minibatch discrimination needs batches of
real and fake images apart, which `dcgan` has anyway and which changes nothing but the order of
summation in the course networks, as they have no batch norm.
"""

from __future__ import annotations

from typing import Any

from baselines.ablation.design.plan import AblationPlan, parse_plan
from bench.errors import UnknownNameError

FOUR_TRICKS: dict[str, Any] = {
    "label-noise": True,
    "replay-buffer": True,
    "minibatch-discrimination": True,
    "non-saturating": {"off": ["loss=minimax"], "on": ["loss=non-saturating"]},
}

PRESETS: dict[str, dict[str, Any]] = {
    "tricks": {"recipe": "dcgan", "factors": FOUR_TRICKS},
    "course": {"recipe": "course-gan", "factors": FOUR_TRICKS},
    "vae-beta": {"recipe": "vae", "factors": {"model.beta": [1.0, 0.25, 4.0, 16.0]}},
    "latent": {
        "recipe": "course-gan",
        "factors": {
            "model.latent_dim": [100, 10, 400],
            "latent": {
                "gaussian": [],
                "uniform": ["tricks.latent.distribution=uniform"],
                "spherical": ["tricks.latent.distribution=spherical"],
            },
        },
    },
}


def preset_plan(name: str, **changes: Any) -> AblationPlan:
    """The plan of a preset, with keys of a plan changed (`seeds=3, share=0.1, ...`). Raises
    `UnknownNameError` listing the presets.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return parse_plan({"name": name, **PRESETS[name], **changes}, f"preset {name}")
