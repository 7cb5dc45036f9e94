"""Stage 2 (Sec. 4.2): each frame's Gaussians from a neighbour's, through a local field.

The paper goes forwards from the first frame. Here the chain starts at the canonical frame, which may be any,
and runs forwards to the last frame and backwards to the first.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.clip import generation_order
from ar4d.deformation import local_field
from ar4d.engines.ar4d.fitting import REPORT_EVERY, FallingAdam, ViewCache, random_stream, seed_networks
from ar4d.engines.ar4d.hold import Hold
from ar4d.engines.ar4d.pseudo_views import PseudoViews
from ar4d.events import Event, FrameFinished, StageFinished, StageStarted, Step, Warned
from ar4d.gaussians import Gaussians
from ar4d.losses import photometric, pseudo_view_loss, psnr, ssim
from ar4d.parameters import Parameters
from ar4d.rendering import Rendering, render
from ar4d.settings import GenerateSettings, ReferenceRig


def generate(
    rgba: Tensor,
    targets: Tensor,
    finished: Sequence[Gaussians],
    pseudo_views: PseudoViews | None,
    options: GenerateSettings,
    rig: ReferenceRig,
    seed: int,
    sigmoid_colors: bool,
    canonical: int = 0,
) -> Generator[Event, None, list[Gaussians]]:
    """Makes G₂ … G_F.

    Args:
        rgba: [F, S, S, 4] the clip in [0, 1], straight alpha.
        targets: [F, S, S, 3] the same on white.
        finished: the frames that exist already, in the order of `generation_order`: G₁, and those of an
            interrupted run.
        pseudo_views: hold the unseen sides; None where progressive view sampling is off.
        rig: the cameras; S is `rig.size`.
        seed: of the run.
        canonical: index of the frame that G₁ shows.
        sigmoid_colors: optimise the colours' logits.

    Yields:
        Progress, and each frame as it is finished.

    Returns:
        All F frames, in the order of `generation_order`.
    """
    started = time.perf_counter()
    frames = list(finished)
    yield StageStarted("generate", (len(rgba) - len(frames)) * options.iterations)
    for index in generation_order(len(rgba), canonical)[len(frames) :]:
        neighbour = frames[0] if index == canonical - 1 else frames[-1]  # the backward chain starts at G₁
        source = neighbour if options.autoregressive else frames[0]
        fit = FrameFit(index, rgba[index], targets[index], options, rig, seed, sigmoid_colors)
        shows_object = bool((rgba[index, ..., 3] > 0.5).any())
        frames.append((yield from (fit.run(source, pseudo_views) if shows_object else fit.skip(neighbour))))
    yield StageFinished("generate", time.perf_counter() - started)
    return frames


def azimuth_limit(u: int, options: GenerateSettings) -> float:
    """N_u of Eq. 6 in degrees: min(N_max, ⌊u / η⌋ + N_start).

    Locked by `test_azimuth_limit_is_equation_6` (tests/engines/ar4d/test_generate.py).
    """
    return min(options.max_azimuth, u // options.steps_per_degree + options.start_azimuth)


@dataclass(frozen=True, eq=False)
class FrameFit:
    """Eq. 3, 5 and 7: fits a local field, and a copy of the source's own parameters, to one frame.

    Locked by `test_the_loss_of_a_step_is_equation_5_plus_equation_8` (tests/engines/ar4d/test_generate.py).
    """

    index: int
    rgba: Tensor  # [S, S, 4]
    target: Tensor  # [S, S, 3]
    options: GenerateSettings
    rig: ReferenceRig
    seed: int
    sigmoid_colors: bool

    def run(self, source: Gaussians, pseudo_views: PseudoViews | None) -> Generator[Event, None, Gaussians]:
        """The frame's Gaussians. The source stays as it is: it is a neighbour's result."""
        options = self.options
        started = time.perf_counter()
        random = random_stream(self.seed, 2, self.index)
        seed_networks(self.seed, 2, self.index)
        parameters = Parameters.of(source, self.sigmoid_colors)
        reference = orbit(0.0, self.rig.elevation_deg, size=self.rig.size)
        hold = Hold.of([source], reference, options.hold)
        field = local_field(options.field, source.means, hold.freedom)
        rigidity = hold.rigidity(field)
        optimizer = FallingAdam(options.iterations)
        optimizer.add(field.parameters(), options.field.lr, options.field.lr_final / options.field.lr)
        for tensor, lr in parameters.trainable(options.rates):
            optimizer.add([tensor], lr, options.decay, hold.freedom)
        optimizer.start()
        for u in range(options.iterations):
            gaussians = parameters.activated(field)
            view = render(gaussians, reference)
            loss = self._reference_loss(view)
            if pseudo_views is not None:
                pseudo = pseudo_views.at(self.index, gaussians, u)
                loss = loss + self._pseudo_loss(gaussians, pseudo, self._azimuth(random, u))  # Eq. 7
            if rigidity is not None:
                loss = loss + rigidity(0.0)
            optimizer.step(loss, u)
            if (u + 1) % REPORT_EVERY == 0 or u + 1 == options.iterations:
                quality = psnr(view.rgb, self.target[None]).item()
                yield Step("generate", self.index, u + 1, options.iterations, loss.item(), quality)
        with torch.no_grad():
            gaussians = parameters.activated(field).detach()
            rgb = render(gaussians, reference).rgb
        quality = psnr(rgb, self.target[None]).item(), ssim(rgb, self.target[None]).item()
        yield FrameFinished("generate", self.index, gaussians, *quality, time.perf_counter() - started)
        return gaussians

    def skip(self, neighbour: Gaussians) -> Generator[Event, None, Gaussians]:
        """The neighbour's Gaussians, for a frame that shows no object and so says nothing about it."""
        yield Warned(f"Frame {self.index + 1} shows no object; it keeps its neighbour's Gaussians.")
        with torch.no_grad():
            rgb = render(neighbour, orbit(0.0, self.rig.elevation_deg, size=self.rig.size)).rgb
        quality = psnr(rgb, self.target[None]).item(), ssim(rgb, self.target[None]).item()
        gaussians = neighbour.detach()
        yield FrameFinished("generate", self.index, gaussians, *quality, 0.0)
        return gaussians

    def _reference_loss(self, view: Rendering) -> Tensor:
        """Eq. 5 at the reference view; with `alpha` > 0 also L1 on alpha (not in the paper)."""
        loss = photometric(view.rgb, self.target[None], 1 - self.options.l1)
        if self.options.alpha > 0:
            loss = loss + self.options.alpha * (view.alpha - self.rgba[None, ..., 3]).abs().mean()
        return loss

    def _azimuth(self, random: np.random.Generator, u: int) -> int:
        """A whole azimuth in [-N_u, N_u] (Eq. 6 and 7).

        Locked by `test_azimuths_are_sampled_within_a_range_that_grows_to_both_sides`
        (tests/engines/ar4d/test_generate.py).
        """
        limit = min(int(azimuth_limit(u, self.options)), self.rig.sides_deg)
        return int(random.integers(-limit, limit + 1))

    def _pseudo_loss(self, gaussians: Gaussians, pseudo: ViewCache, azimuth_deg: int) -> Tensor:
        """Eq. 8 at one sampled azimuth."""
        view = render(gaussians, pseudo.camera(azimuth_deg))
        options = self.options
        return pseudo_view_loss(
            view, pseudo.at(azimuth_deg), options.pseudo_rgb, options.pseudo_depth, pseudo.covered_only
        )
