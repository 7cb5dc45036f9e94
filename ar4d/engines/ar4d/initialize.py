"""Stage 1 (Sec. 4.1): an expert lifts the first frame, then means and colours are fitted to it."""

from __future__ import annotations

import math
import time
from collections.abc import Generator

import torch
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.engines.ar4d.fitting import REPORT_EVERY, FallingAdam, ViewCache, random_stream
from ar4d.events import Event, FrameFinished, StageFinished, StageStarted, Step
from ar4d.experts import ImageToGaussians
from ar4d.experts.fallback import Ladder
from ar4d.gaussians import Gaussians
from ar4d.losses import psnr, ssim
from ar4d.parameters import Parameters
from ar4d.rendering import render
from ar4d.settings import Settings

PRUNE_BELOW = 0.005  # Gaussians this transparent cost time and show nothing


def initialize(
    rgba: Tensor, target: Tensor, expert: ImageToGaussians, settings: Settings
) -> Generator[Event, None, Gaussians]:
    """Makes G₁, the canonical Gaussians.

    Args:
        rgba: [S, S, 4] the first frame in [0, 1], straight alpha.
        target: [S, S, 3] the same on white.
        expert: lifts the frame (auto-chosen or named by the user).

    Yields:
        Progress, then the finished frame 0.

    Returns:
        G₁ = {μ^ft, α^init, s^init, r^init, c^ft}.
    """
    options = settings.initialize
    started = time.perf_counter()
    yield StageStarted("initialize", options.iterations if options.finetune else 0)
    arguments = rgba, settings.budget, settings.elevation_deg
    if isinstance(expert, Ladder):
        initial = yield from expert.lifting(*arguments)
    else:
        initial = expert.lift(*arguments)
    initial = initial.select(initial.opacities >= PRUNE_BELOW)
    gaussians = (yield from _finetune(initial, target, settings)) if options.finetune else initial
    seconds = time.perf_counter() - started
    with torch.no_grad():
        view = render(gaussians, orbit(0.0, settings.elevation_deg, size=settings.size)).rgb
    quality = psnr(view, target[None]).item(), ssim(view, target[None]).item()
    yield FrameFinished("initialize", 0, gaussians, *quality, seconds)
    yield StageFinished("initialize", seconds)
    return gaussians


def _finetune(initial: Gaussians, target: Tensor, settings: Settings) -> Generator[Event, None, Gaussians]:
    """Eq. 2: only {μ, c} move, towards ‖R_ref(G) - v₁‖².

    One view says nothing about the hidden Gaussians, which drift to garbage. The preservation term
    (not in the paper, weight 0 there) holds them to what the expert made, at random azimuths.
    """
    options = settings.initialize
    parameters = Parameters.of(initial, options.sigmoid_colors)
    optimizer = FallingAdam(options.iterations)
    optimizer.add([parameters.means.requires_grad_()], options.rates.means, options.decay)
    optimizer.add([parameters.colors.requires_grad_()], options.rates.colors, options.decay)
    optimizer.start()
    reference = orbit(0.0, settings.elevation_deg, size=settings.size)
    expected = ViewCache(initial, settings.elevation_deg, settings.pseudo_size)
    random = random_stream(settings.seed, 1, 0)
    for u in range(options.iterations):
        gaussians = parameters.activated()
        view = render(gaussians, reference).rgb
        error = (view - target[None]).square().mean()
        loss = error
        if options.preservation > 0:
            loss = loss + options.preservation * _departure(
                gaussians, expected, int(random.integers(-settings.sides_deg, settings.sides_deg))
            )
        optimizer.step(loss, u)
        if (u + 1) % REPORT_EVERY == 0 or u + 1 == options.iterations:
            yield Step(
                "initialize", 0, u + 1, options.iterations, loss.item(), -10 * math.log10(error.item())
            )
    return parameters.activated().detach()


def _departure(gaussians: Gaussians, expected: ViewCache, azimuth_deg: int) -> Tensor:
    """L1 on colour and alpha between the Gaussians and the expert's own, seen from `azimuth_deg`."""
    was = expected.at(azimuth_deg)
    camera = orbit(float(azimuth_deg), expected.elevation_deg, size=expected.size)
    now = render(gaussians, camera)
    return (now.rgb - was.rgb).abs().mean() + (now.alpha - was.alpha).abs().mean()
