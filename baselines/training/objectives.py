"""The objectives of one run: what each network minimises, as a function of networks and draws.

Every function sees a single run; `torch.func.vmap` maps it over a stack. The hooks of tricks are
called at the points that `baselines.tricks.base` names.

Shape legend: B images of a batch, C,H,W an image, Z latent.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from baselines.models.autoencoders import AutoencoderOptions
from baselines.models.base import Verdict
from baselines.models.infogan import InfoOptions, mutual_information
from baselines.models.likelihoods import (
    bernoulli_log_likelihood,
    corrupt,
    gaussian_log_likelihood,
    kl_to_standard_normal,
    sparsity_penalty,
)
from baselines.models.losses import Targets
from baselines.training.build import Game
from baselines.tricks.base import Judged, Moment, Net

Draws = Mapping[str, Tensor]
Terms = dict[str, Tensor]


def discriminator_objective(game: Game, moment: Moment) -> tuple[Tensor, Terms]:
    """The discriminator's loss on real images and on images made without gradient."""
    draws = moment.draws
    with torch.no_grad():
        fake = moment.generator(draws["z"], draws.get("class"))
    for hook in game.hooks("memory"):
        fake = hook(fake, moment)
    seen_real, seen_fake = (
        _seen(game, draws["real"], moment, "real"),
        _seen(game, fake, moment, "fake"),
    )
    real, judged_fake = judge_both(game, moment, seen_real, seen_fake)
    logits = (real.verdict.logits.float(), judged_fake.verdict.logits.float())
    targets = None
    for hook in game.hooks("targets"):
        if targets is None:
            targets = Targets(torch.ones_like(logits[0]), torch.zeros_like(logits[1]))
        targets = hook(targets, moment)
    loss = game.config.loss_row.d_loss(*logits, targets)
    terms = {"d_loss": loss, "d_real": logits[0].mean(), "d_fake": logits[1].mean()}
    loss = _with_information(game, loss, judged_fake.verdict, draws["z"], terms)
    for hook in game.hooks("d_penalty"):
        loss = loss + hook(real, judged_fake, moment)
    return loss, terms


def generator_objective(game: Game, moment: Moment) -> tuple[Tensor, Terms]:
    """The generator's loss through the discriminator."""
    draws = moment.draws
    fake = moment.generator(draws["z"], draws.get("class"))
    judged = _judge(game, moment, _seen(game, fake, moment, "fake"), draws.get("class"), "fake")
    loss = game.config.loss_row.g_loss(judged.verdict.logits.float())
    for hook in game.hooks("g_objective"):
        with torch.no_grad():  # under the noise and dropout of the fakes
            seen = _seen(game, draws["real"], moment, "real")
            real = _judge(game, moment, seen, draws.get("real_class"), "fake")
        loss = hook(real, judged, moment)
    terms = {"g_loss": loss}
    loss = _with_information(game, loss, judged.verdict, draws["z"], terms)
    for hook in game.hooks("g_penalty"):
        loss = loss + hook(moment)
    return loss, terms


def _seen(game: Game, x: Tensor, moment: Moment, role: str) -> Tensor:
    for hook in game.hooks("images"):
        x = hook(x, role, moment)
    return x


def _judge(game: Game, moment: Moment, x: Tensor, y: Tensor | None, role: str) -> Judged:
    keep = None
    for hook in game.hooks("keep"):
        keep = hook(role, moment)
    return Judged(x, y, moment.discriminator(x, y, keep))


def judge_both(game: Game, moment: Moment, real: Tensor, fake: Tensor) -> tuple[Judged, Judged]:
    """The verdicts on real and fake images: of one batch, or of two with separate batches."""
    classes = (moment.draws.get("real_class"), moment.draws.get("class"))
    if game.plan.separate_batches:
        return (
            _judge(game, moment, real, classes[0], "real"),
            _judge(game, moment, fake, classes[1], "fake"),
        )
    keep = None
    for hook in game.hooks("keep"):
        keep = torch.cat([hook("real", moment), hook("fake", moment)])
    both = None if classes[0] is None or classes[1] is None else torch.cat([classes[0], classes[1]])
    verdict = moment.discriminator(torch.cat([real, fake]), both, keep)
    n = real.shape[0]
    codes = verdict.codes
    return (
        Judged(real, classes[0], Verdict(verdict.logits[:n], verdict.features[:n])),
        Judged(
            fake,
            classes[1],
            Verdict(verdict.logits[n:], verdict.features[n:], None if codes is None else codes[n:]),
        ),
    )


def _with_information(
    game: Game, loss: Tensor, verdict: Verdict, z: Tensor, terms: Terms
) -> Tensor:
    """Minus lambda times InfoGAN's bound, in both losses as in the authors' code."""
    if verdict.codes is None:
        return loss
    assert isinstance(game.options, InfoOptions)  # noqa: S101  (only its networks give codes)
    assert game.latent is not None  # noqa: S101
    bound = mutual_information(verdict.codes.float(), z, game.latent)
    terms["mutual_information"] = bound
    return loss - game.options.info_weight * bound


def autoencoder_objective(game: Game, net: Net, draws: Draws) -> tuple[Tensor, Terms]:
    """Reconstruction error per image (summed over pixels) plus the weighted penalty on the code."""
    options: AutoencoderOptions = game.options
    x = draws["real"]
    level = options.corruption_level
    seen = corrupt(x, draws.get("corruption", x), options.corruption, level)
    out, code = net(seen)
    if options.loss == "mse":
        error = (out.float() - x).flatten(1).square().sum(1).mean()
    else:
        error = -bernoulli_log_likelihood(out.float().flatten(1), x.flatten(1)).mean()
    penalty = sparsity_penalty(code.float(), options.penalty, options.target_rate)
    loss = error if options.penalty == "none" else error + options.penalty_weight * penalty
    return loss, {"loss": loss, "reconstruction": error, "penalty": penalty}


def vae_objective(game: Game, net: Net, draws: Draws) -> tuple[Tensor, Terms]:
    """-(log p(x|z) - beta KL); the ELBO (with beta 1) and its two terms in nats per image."""
    options = game.options
    x, y = draws["real"], draws.get("real_class")
    out, mean, log_variance = net(x, draws["noise"], y)
    pixels = (out.float().flatten(1), x.flatten(1))
    if options.likelihood == "bernoulli":
        log_likelihood = bernoulli_log_likelihood(*pixels).mean()
    else:
        log_likelihood = gaussian_log_likelihood(*pixels, options.sigma).mean()
    kl = kl_to_standard_normal(mean.float(), log_variance.float()).mean()
    loss = options.beta * kl - log_likelihood
    terms = {"loss": loss, "elbo": log_likelihood - kl, "log_likelihood": log_likelihood, "kl": kl}
    return loss, terms
