"""The two training loops, plain: one adversarial step, one likelihood step.

A step is a deterministic function of parameters, trick states and draws. `Lanes` holds one run's
tensors, or those of K stacked runs (a leading dimension K, see `baselines.stacked`); the loops read
the same for both. With no trick on, every list of hooks is empty.

The adversarial step follows Goodfellow et al. 2014, algorithm 1: the discriminator's step (or k
steps) on fresh real images and fresh latents, then the generator's on fresh latents.

Shape legend: K runs, B images of a batch, C,H,W an image, Z latent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.build import Game
from baselines.data import TrainingSet
from baselines.likelihoods import (
    bernoulli_log_likelihood,
    corrupt,
    gaussian_log_likelihood,
    kl_to_standard_normal,
    sparsity_penalty,
)
from baselines.losses import Targets
from baselines.models.autoencoders import AutoencoderOptions
from baselines.models.base import Verdict
from baselines.models.infogan import InfoOptions, mutual_information
from baselines.tricks.base import Judged, Moment, Net, Player

Draws = Mapping[str, Tensor]
Terms = dict[str, Tensor]
Objective = Callable[[Mapping[str, Net], Draws, Mapping[str, Tensor], Tensor], tuple[Tensor, Terms]]


@dataclass
class Lanes:
    """The tensors of one run, or of K stacked ones: by network, then by name."""

    game: Game
    modules: dict[str, nn.Module]
    parameters: dict[str, dict[str, Tensor]]
    buffers: dict[str, dict[str, Tensor]]
    state: dict[str, Tensor]
    optimisers: dict[str, torch.optim.Optimizer]
    num_runs: int | None = None  # None: a single run without a leading dimension
    autocast: str | None = None  # device type on which to compute in bfloat16

    def evaluate(
        self, objective: Objective, draws: Draws, progress: Tensor
    ) -> tuple[Tensor, Terms]:
        """Loss and terms: scalars, or K each."""
        with self._precision():
            if self.num_runs is None:
                nets = {
                    name: Net(module, self.parameters[name], self.buffers[name])
                    for name, module in self.modules.items()
                }
                return objective(nets, draws, self.state, progress)

            def one(parameters: Any, buffers: Any, state: Any, draws: Any) -> tuple[Tensor, Terms]:
                nets = {
                    name: Net(module, parameters[name], buffers[name], stacked=True)
                    for name, module in self.modules.items()
                }
                return objective(nets, draws, state, progress)

            found: tuple[Tensor, Terms] = torch.func.vmap(one)(
                self.parameters, self.buffers, self.state, dict(draws)
            )
            return found

    def update(self, network: str, loss: Tensor) -> None:
        """One step of the network's optimiser; gradients of nothing else are computed."""
        optimiser = self.optimisers[network]
        optimiser.zero_grad(set_to_none=True)
        total = loss if self.num_runs is None else loss.sum()  # runs share no parameter
        torch.autograd.backward(total, inputs=list(self.parameters[network].values()))
        optimiser.step()

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        if self.autocast is None:
            yield
            return
        with torch.autocast(self.autocast, torch.bfloat16, cache_enabled=False):
            yield


def adversarial_step(lanes: Lanes, data: TrainingSet, draws: Draws, progress: Tensor) -> Terms:
    """One step of both players in place; gives the terms of the last update of each."""
    game = lanes.game
    terms: Terms = {}
    for number in range(game.plan.d_steps):
        part = _prepared(lanes, data, draws, "discriminator", number)
        loss, terms = lanes.evaluate(_objective(game, "discriminator"), part, progress)
        lanes.update("discriminator", loss)
        with torch.no_grad():
            for hook in game.hooks("after_d"):
                hook(lanes.parameters["discriminator"], lanes.state)
    part = _prepared(lanes, data, draws, "generator", None)
    loss, found = lanes.evaluate(_objective(game, "generator"), part, progress)
    lanes.update("generator", loss)
    with torch.no_grad():
        for hook in game.hooks("after_g"):
            hook(lanes.parameters["generator"], lanes.buffers["generator"], lanes.state)
    return _detached(terms | found)


def likelihood_step(lanes: Lanes, data: TrainingSet, draws: Draws, progress: Tensor) -> Terms:
    """One step of an autoencoder or VAE in place."""
    part = _prepared(lanes, data, draws, "autoencoder", None)
    objective = vae_objective if lanes.game.latent is not None else autoencoder_objective

    def bound(
        nets: Mapping[str, Net], d: Draws, _state: Mapping[str, Tensor], _progress: Tensor
    ) -> tuple[Tensor, Terms]:
        return objective(lanes.game, nets["autoencoder"], d)

    loss, terms = lanes.evaluate(bound, part, progress)
    lanes.update("autoencoder", loss)
    return _detached(terms)


def _detached(terms: Terms) -> Terms:
    return {name: value.detach().float() for name, value in terms.items()}


def _prepared(
    lanes: Lanes, data: TrainingSet, draws: Draws, player: str, number: int | None
) -> dict[str, Tensor]:
    """The draws of one update: indices become images and one-hot classes."""
    game, prefix = lanes.game, f"{player}/"
    part = {name.removeprefix(prefix): v for name, v in draws.items() if name.startswith(prefix)}
    if number is not None:
        part = {
            name: v[number] if lanes.num_runs is None else v[:, number] for name, v in part.items()
        }
    if "index" in part:
        index = part.pop("index")
        part["real"] = data.batch(index, game.model.scale)
        if game.num_classes:
            part["real_class"] = F.one_hot(data.classes(index), game.num_classes).float()
    if "class" in part:
        part["class"] = F.one_hot(part["class"], game.num_classes).float()
    return part


def _objective(game: Game, player: Player) -> Objective:
    objective = discriminator_objective if player == "discriminator" else generator_objective

    def bound(
        nets: Mapping[str, Net], draws: Draws, state: Mapping[str, Tensor], progress: Tensor
    ) -> tuple[Tensor, Terms]:
        moment = Moment(
            player=player,
            draws=draws,
            state=state,
            progress=progress,
            generator=nets["generator"],
            discriminator=nets["discriminator"],
        )
        return objective(game, moment)

    return bound


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
    real, judged_fake = _judged(game, moment, seen_real, seen_fake)
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
        with torch.no_grad():
            seen = _seen(game, draws["real"], moment, "real")
            verdict = moment.discriminator(seen, draws.get("real_class"), None)
        loss = hook(Judged(seen, draws.get("real_class"), verdict), judged, moment)
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


def _judged(game: Game, moment: Moment, real: Tensor, fake: Tensor) -> tuple[Judged, Judged]:
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
