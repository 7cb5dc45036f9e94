"""Stage 1 (Sec. 4.1): an expert lifts the canonical frame, then means and colours are fitted to it."""

from __future__ import annotations

import time
from collections.abc import Generator

import torch
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.engines.ar4d.body import tidied
from ar4d.engines.ar4d.fitting import (
    REPORT_EVERY,
    Comparison,
    Fitted,
    FitWarnings,
    ViewCache,
    fit_of,
    pictured,
    random_stream,
)
from ar4d.engines.ar4d.hold import Hold
from ar4d.events import Event, FrameFinished, FrameImagined, StageFinished, StageStarted, Step
from ar4d.experts import ImageToGaussians
from ar4d.gaussians import Gaussians
from ar4d.losses import preservation, psnr, ssim
from ar4d.losses import reference as reference_terms
from ar4d.parameters import Parameters
from ar4d.rendering import render
from ar4d.reporting import reporting_progress
from ar4d.settings import BodySettings, HoldSettings, InitializeSettings, LearningRates, ReferenceRig
from ar4d.visibility import exposure

PRUNE_BELOW = 0.005  # Gaussians this transparent cost time and show nothing


def initialize(
    rgba: Tensor,
    target: Tensor,
    expert: ImageToGaussians,
    options: InitializeSettings,
    rig: ReferenceRig,
    budget: int,
    seed: int,
    frame_index: int = 0,
) -> Generator[Event, None, Gaussians]:
    """Makes G₁, the canonical Gaussians.

    Args:
        rgba: [S, S, 4] the canonical frame (the paper's is the first) in [0, 1], straight alpha.
        target: [S, S, 3] the same on white.
        expert: lifts the frame.
        rig: the cameras; S is `rig.size`.
        budget: about how many Gaussians are wanted.
        seed: of the run.
        frame_index: of the canonical frame.

    Yields:
        Progress, the frame as the expert made it, then the finished canonical frame.

    Returns:
        G₁ = {μ^ft, α^init, s^init, r^init, c^ft}.
    """
    started = time.perf_counter()
    yield StageStarted("initialize", options.iterations if options.finetune else 0)
    initial = yield from reporting_progress(expert, lambda: expert.lift(rgba, budget, rig.elevation_deg))
    initial = initial.select(initial.opacities >= PRUNE_BELOW)
    reference = orbit(0.0, rig.elevation_deg, size=rig.size)
    if options.body != BodySettings():
        initial = tidied(initial, exposure(initial, reference), options.body)
    if options.finetune:
        yield FrameImagined("initialize", frame_index, initial.detach())
    gaussians = (
        (yield from _finetune(initial, target, options, rig, seed, frame_index))
        if options.finetune
        else initial
    )
    seconds = time.perf_counter() - started
    with torch.no_grad():
        view = render(gaussians, reference).rgb
    quality = psnr(view, target[None]).item(), ssim(view, target[None]).item()
    yield FrameFinished("initialize", frame_index, gaussians, *quality, seconds)
    yield StageFinished("initialize", seconds)
    return gaussians


def _finetune(
    initial: Gaussians,
    target: Tensor,
    options: InitializeSettings,
    rig: ReferenceRig,
    seed: int,
    frame_index: int,
) -> Generator[Event, None, Gaussians]:
    """Eq. 2: only {μ, c} move, towards ‖R_ref(G) - v₁‖².

    Locked by `test_the_loss_of_the_first_step_is_equation_2` and `test_only_means_and_colours_move`
    (tests/engines/ar4d/test_initialize.py).

    One view says nothing about the hidden Gaussians, which drift to garbage. The preservation term
    (not in the paper, weight 0 there) holds them to what the expert made, at random azimuths.
    """
    parameters = Parameters.of(initial, options.sigmoid_colors)
    reference = orbit(0.0, rig.elevation_deg, size=rig.size)
    rates = LearningRates(options.rates.means, options.rates.colors, scales=0.0, opacities=0.0, quats=0.0)
    hold = Hold.of([initial], reference, HoldSettings(hidden_rate=options.hidden_rate))
    fitted = Fitted(parameters, rates, options.decay, options.iterations, hold)
    preserves = options.preservation > 0
    fit = fit_of(fitted)
    warnings = FitWarnings(f"frame {frame_index + 1}")
    expected = ViewCache(initial, rig.elevation_deg, rig.pseudo_size)
    random = random_stream(seed, 1, 0)
    comparison = Comparison(reference, pictured(target), reference_terms())
    for u in range(options.iterations):
        comparisons = [comparison]
        if preserves:
            azimuth_deg = int(random.integers(-rig.sides_deg, rig.sides_deg))
            there = expected.at(azimuth_deg)
            comparisons.append(
                Comparison(expected.camera(azimuth_deg), there, preservation(options.preservation))
            )
        fit.step(u, comparisons)
        yield from warnings.after(u, fit)
        if (u + 1) % REPORT_EVERY == 0 or u + 1 == options.iterations:
            quality = psnr(fit.view, target[None]).item()
            yield Step("initialize", frame_index, u + 1, options.iterations, fit.loss, quality)
    return fitted.activated().detach()
