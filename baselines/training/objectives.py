"""The objectives of one run: what each network minimises, as a function of networks and draws.

Every function sees a single run; `torch.func.vmap` maps it over a stack. The functions call the
tricks' hooks, which `baselines.tricks.base` lists.

Shape legend: B images of a batch, C,H,W an image, Z latent.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from baselines.models.base import DiscriminatorOutput
from baselines.models.embedding import code_distances, contrastive_loss, paired_variations
from baselines.models.infogan import mutual_information
from baselines.models.likelihoods import (
    bernoulli_log_likelihood,
    corrupt,
    gaussian_log_likelihood,
    kl_to_standard_normal,
    sparsity_penalty,
)
from baselines.models.losses import Targets
from baselines.models.options import AutoencoderOptions, EmbeddingOptions, InfoOptions
from baselines.training.build import Game
from baselines.tricks.base import JudgedBatch, Net, StepContext
from bench.data.variations import vary

Draws = Mapping[str, Tensor]
Terms = dict[str, Tensor]


def discriminator_objective(game: Game, context: StepContext) -> tuple[Tensor, Terms]:
    """Return the discriminator's loss on real and generated images, and its terms."""
    draws = context.draws
    with torch.no_grad():
        fake = context.generator(draws["z"], draws.get("class"))
    for hook in game.hooks("memory"):
        fake = hook(fake, context)
    seen_real = _apply_image_hooks(game, draws["real"], context, "real")
    seen_fake = _apply_image_hooks(game, fake, context, "fake")
    real, judged_fake = judge_both(game, context, seen_real, seen_fake)
    logits = (real.output.logits.float(), judged_fake.output.logits.float())
    targets = None
    for hook in game.hooks("targets"):
        if targets is None:
            targets = Targets(torch.ones_like(logits[0]), torch.zeros_like(logits[1]))
        targets = hook(targets, context)
    loss = game.config.loss_row.d_loss(*logits, targets)
    terms = {"d_loss": loss, "d_real": logits[0].mean(), "d_fake": logits[1].mean()}
    loss = _subtract_information(game, loss, judged_fake.output, draws["z"], terms)
    for hook in game.hooks("d_penalty"):
        loss = loss + hook(real, judged_fake, context)
    return loss, terms


def generator_objective(game: Game, context: StepContext) -> tuple[Tensor, Terms]:
    """Return the generator's loss through the discriminator, and its terms."""
    draws = context.draws
    fake = context.generator(draws["z"], draws.get("class"))
    seen = _apply_image_hooks(game, fake, context, "fake")
    judged = _judge(game, context, seen, draws.get("class"), "fake")
    loss = game.config.loss_row.g_loss(judged.output.logits.float())
    for hook in game.hooks("g_objective"):
        with torch.no_grad():  # real images get the noise and dropout of the fake ones
            seen = _apply_image_hooks(game, draws["real"], context, "real")
            real = _judge(game, context, seen, draws.get("real_class"), "fake")
        loss = hook(real, judged, context)
    terms = {"g_loss": loss}
    loss = _subtract_information(game, loss, judged.output, draws["z"], terms)
    for hook in game.hooks("g_penalty"):
        loss = loss + hook(context)
    return loss, terms


def _apply_image_hooks(game: Game, x: Tensor, context: StepContext, role: str) -> Tensor:
    for hook in game.hooks("images"):
        x = hook(x, role, context)
    return x


def _judge(game: Game, context: StepContext, x: Tensor, y: Tensor | None, role: str) -> JudgedBatch:
    keep = None
    for hook in game.hooks("keep"):
        keep = hook(role, context)
    return JudgedBatch(x, y, context.discriminator(x, y, keep))


def judge_both(
    game: Game, context: StepContext, real: Tensor, fake: Tensor
) -> tuple[JudgedBatch, JudgedBatch]:
    """Call the discriminator on real and fake images, in one batch or in separate batches."""
    classes = (context.draws.get("real_class"), context.draws.get("class"))
    if game.plan.separate_batches:
        return (
            _judge(game, context, real, classes[0], "real"),
            _judge(game, context, fake, classes[1], "fake"),
        )
    keep = None
    for hook in game.hooks("keep"):
        keep = torch.cat([hook("real", context), hook("fake", context)])
    both = None if classes[0] is None or classes[1] is None else torch.cat([classes[0], classes[1]])
    output = context.discriminator(torch.cat([real, fake]), both, keep)
    n = real.shape[0]
    codes = output.codes
    return (
        JudgedBatch(real, classes[0], DiscriminatorOutput(output.logits[:n], output.features[:n])),
        JudgedBatch(
            fake,
            classes[1],
            DiscriminatorOutput(
                output.logits[n:], output.features[n:], None if codes is None else codes[n:]
            ),
        ),
    )


def _subtract_information(
    game: Game, loss: Tensor, output: DiscriminatorOutput, z: Tensor, terms: Terms
) -> Tensor:
    """Subtract lambda times InfoGAN's bound from a player's loss, as the authors' code does for
    both players.
    """
    if output.codes is None:
        return loss
    assert isinstance(game.options, InfoOptions)  # noqa: S101  (only its networks return codes)
    assert game.latent is not None  # noqa: S101
    bound = mutual_information(output.codes.float(), z, game.latent)
    terms["mutual_information"] = bound
    return loss - game.options.info_weight * bound


def autoencoder_objective(game: Game, net: Net, draws: Draws) -> tuple[Tensor, Terms]:
    """Return the reconstruction error per image (summed over pixels) plus the weighted penalty on
    the code, and the terms.
    """
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
    """Return -(log p(x|z) - beta KL), and the terms: the ELBO (with beta 1) and its two parts, in
    nats per image.
    """
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


def embedding_objective(game: Game, net: Net, draws: Draws) -> tuple[Tensor, Terms]:
    """Return the mean contrastive loss of a batch of pairs, and the terms: the mean distance of
    similar and of dissimilar pairs (0 without such a pair).
    """
    options: EmbeddingOptions = game.options
    pairs = paired_variations(draws["first"], draws["second"], draws["near"], options.neighbourhood)
    variations = torch.cat([pairs.first, pairs.second])
    seen = vary(
        draws["real"],
        variations[:, 0] * options.max_degrees,
        variations[:, 1] * options.max_shift_px,
    )
    distance = code_distances(net(seen).float())
    loss = contrastive_loss(distance, pairs.similar, options.margin).mean()
    similar, dissimilar = pairs.similar.float(), 1 - pairs.similar.float()
    terms = {
        "loss": loss,
        "similar": (distance * similar).sum() / similar.sum().clamp_min(1),
        "dissimilar": (distance * dissimilar).sum() / dissimilar.sum().clamp_min(1),
    }
    return loss, terms
