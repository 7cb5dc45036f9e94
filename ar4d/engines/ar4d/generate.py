"""Stage 2 (Sec. 4.2): each frame's Gaussians from a neighbour's, through a local field.

The paper goes forwards from the first frame. Here the chain starts at the canonical frame, which may be any,
and runs forwards to the last frame and backwards to the first.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.clip import generation_order
from ar4d.clip.streamed import Frames
from ar4d.deformation import DeformationField, NodeField, local_field
from ar4d.engines.ar4d.births import newborn, without_strays
from ar4d.engines.ar4d.fitting import (
    REPORT_EVERY,
    Comparison,
    Fitted,
    FitWarnings,
    ViewCache,
    fit_of,
    halved,
    pictured,
    random_stream,
    seed_networks,
)
from ar4d.engines.ar4d.hold import Hold
from ar4d.engines.ar4d.pseudo_views import PseudoViews
from ar4d.events import Event, FrameFinished, StageFinished, StageStarted, Step, Warned
from ar4d.gaussians import Gaussians, concatenate
from ar4d.lifetimes import aligned
from ar4d.losses import photometric, pseudo_view, psnr, ssim
from ar4d.parameters import Parameters
from ar4d.rendering import render
from ar4d.settings import GenerateSettings, ReferenceRig

ENOUGH = 40.0  # dB: a frame that is shown as well as this needs few steps
BIRTHS_AT = 0.6  # of a frame's steps: the motion is found, and what is still wrong has no Gaussians
ALL_STEPS_FROM = 8.0  # dB that a frame's start has to lack for it to take all steps


def generate(
    rgba: Frames,
    targets: Frames,
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
        rgba: F frames [S, S, 4] of the clip in [0, 1], straight alpha.
        targets: F frames [S, S, 3], the same on white.
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
        All F frames, in the order of `generation_order`. Where Gaussians are born, a frame's set may be
        longer than that of a neighbour, with which it begins; see `ar4d.lifetimes.aligned`.
    """
    started = time.perf_counter()
    frames = list(finished)
    yield StageStarted("generate", (len(rgba) - len(frames)) * options.iterations)
    order = generation_order(len(rgba), canonical)
    for index in order[len(frames) :]:
        step = 1 if index > canonical else -1
        if index == canonical - 1:  # the other branch may have born Gaussians
            frames = aligned(frames)
        neighbour = frames[order.index(index - step)]
        source = neighbour if options.autoregressive else frames[0]
        motion = settled = None
        if options.autoregressive:
            settled = shown_quality(neighbour, targets[index - step], rig)
        if options.autoregressive and abs(index - canonical) > 1:
            before = frames[order.index(index - 2 * step)]
            older = neighbour.means[: len(before)] - before.means
            motion = F.pad(older, (0, 0, 0, len(neighbour) - len(before)))  # those just born start at rest
        fit = FrameFit(
            index, rgba[index], targets[index], options, rig, seed, sigmoid_colors, motion, settled
        )
        shows_object = bool((rgba[index][..., 3] > 0.5).any())
        frames.append((yield from (fit.run(source, pseudo_views) if shows_object else fit.skip(neighbour))))
    yield StageFinished("generate", time.perf_counter() - started)
    return frames


@torch.no_grad()
def shown_quality(gaussians: Gaussians, target: Tensor, rig: ReferenceRig) -> float:
    """PSNR of the reference view against a frame [S, S, 3]."""
    view = render(gaussians, orbit(0.0, rig.elevation_deg, size=rig.size)).rgb
    return psnr(view, target[None]).item()


@torch.no_grad()
def start_moving(field: DeformationField, motion: Tensor) -> None:
    """Sets the translations of a table's nodes to the mean motion [N, 3] of their Gaussians."""
    if isinstance(field, NodeField) and field.settings.kind == "node-table":
        field.table[0, :, :3] = field.mean_at_nodes(motion)


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
    motion: Tensor | None = None
    """[N, 3] how far the Gaussians came in the frame before; None where that is not known."""
    settled: float | None = None
    """PSNR at which the source shows its own frame; None where that is not known."""

    def run(self, source: Gaussians, pseudo_views: PseudoViews | None) -> Generator[Event, None, Gaussians]:
        """The frame's Gaussians. The source stays as it is: it is a neighbour's result."""
        options = self.options
        started = time.perf_counter()
        random = random_stream(self.seed, 2, self.index)
        seed_networks(self.seed, 2, self.index)
        reference = orbit(0.0, self.rig.elevation_deg, size=self.rig.size)
        fitted = self._fitted(source)
        if self.motion is not None and options.momentum > 0 and fitted.field is not None:
            start_moving(fitted.field, options.momentum * self.motion)
        steps = self._num_steps(fitted.activated())
        fitted = replace(fitted, steps=steps)
        fit, frames = fit_of(fitted), self._frames()
        warnings = FitWarnings(f"frame {self.index + 1}")
        for u in range(steps):
            if u == round(BIRTHS_AT * steps) and options.birth_residual > 0 and options.autoregressive:
                grown = self._grown(fitted.activated(), pseudo_views, u)
                if grown is not None:
                    fitted = replace(self._fitted(grown), steps=steps, start=u)
                    fit = fit_of(fitted)
            comparisons = [frames[u < options.coarse_share * steps]]
            if pseudo_views is not None:
                pseudo = pseudo_views.at(self.index, fitted.activated, u)
                azimuth_deg = self._azimuth(random, u * options.iterations // steps)
                comparisons.append(self._pseudo_comparison(pseudo, azimuth_deg))  # Eq. 7
            fit.step(u, comparisons)
            yield from warnings.after(u, fit)
            if (u + 1) % REPORT_EVERY == 0 or u + 1 == steps:
                quality = psnr(fit.view, comparisons[0].expected.rgb).item()
                yield Step("generate", self.index, u + 1, steps, fit.loss, quality)
        with torch.no_grad():
            gaussians = fitted.activated().detach()
            if options.birth_residual > 0 and options.autoregressive:
                gaussians = without_strays(gaussians, self.rgba[..., 3], reference)
            rgb = render(gaussians, reference).rgb
        quality = psnr(rgb, self.target[None]).item(), ssim(rgb, self.target[None]).item()
        yield FrameFinished("generate", self.index, gaussians, *quality, time.perf_counter() - started)
        return gaussians

    def _fitted(self, source: Gaussians) -> Fitted:
        """A copy of the source and a fresh field, ready to be fitted."""
        options = self.options
        hold = Hold.of([source], orbit(0.0, self.rig.elevation_deg, size=self.rig.size), options.hold)
        field = local_field(options.field, source.means, hold.freedom)
        parameters = Parameters.of(source, self.sigmoid_colors)
        steps = options.iterations
        return Fitted(parameters, options.rates, options.decay, steps, hold, field, options.field)

    @torch.no_grad()
    def _grown(self, gaussians: Gaussians, pseudo_views: PseudoViews | None, u: int) -> Gaussians | None:
        """The Gaussians and new ones for what none of them shows; None where there is no such thing."""
        camera = orbit(0.0, self.rig.elevation_deg, size=self.rig.size)
        depth = self.target.new_zeros(self.target.shape[:2])
        if pseudo_views is not None:
            view = render(pseudo_views.at(self.index, lambda: gaussians, u).gaussians, camera)
            depth = torch.where(view.alpha > 0.5, view.depth / view.alpha.clamp_min(1e-6), 0.0)[0]
        seen, residual = render(gaussians, camera), self.options.birth_residual
        born = newborn(seen, self.rgba, self.target, depth, camera, residual, len(gaussians))
        return None if born is None else concatenate([gaussians, born])

    def skip(self, neighbour: Gaussians) -> Generator[Event, None, Gaussians]:
        """The neighbour's Gaussians, for a frame that shows no object and so says nothing about it."""
        yield Warned(f"Frame {self.index + 1} shows no object; it keeps its neighbour's Gaussians.")
        with torch.no_grad():
            rgb = render(neighbour, orbit(0.0, self.rig.elevation_deg, size=self.rig.size)).rgb
        quality = psnr(rgb, self.target[None]).item(), ssim(rgb, self.target[None]).item()
        gaussians = neighbour.detach()
        yield FrameFinished("generate", self.index, gaussians, *quality, 0.0)
        return gaussians

    @torch.no_grad()
    def _num_steps(self, start: Gaussians) -> int:
        """How many steps the frame takes, by how much worse its start shows it than it should be shown."""
        options = self.options
        if self.settled is None or options.least_share == 1:
            return options.iterations
        reference = orbit(0.0, self.rig.elevation_deg, size=self.rig.size)
        missing = min(self.settled, ENOUGH) - psnr(render(start, reference).rgb, self.target[None]).item()
        share = min(max(missing / ALL_STEPS_FROM, options.least_share), 1.0)
        return max(round(share * options.iterations), min(options.iterations, 1))

    def _frames(self) -> tuple[Comparison, Comparison]:
        """Eq. 5 at the reference view, and the same at half its size."""
        alpha, terms = self.rgba[..., 3:], photometric(1 - self.options.l1, self.options.alpha)
        whole, coarse = (
            Comparison(orbit(0.0, self.rig.elevation_deg, size=len(rgb)), pictured(rgb, a[..., 0]), terms)
            for rgb, a in ((self.target, alpha), (halved(self.target), halved(alpha)))
        )
        return whole, coarse

    def _azimuth(self, random: np.random.Generator, u: int) -> int:
        """A whole azimuth in [-N_u, N_u] (Eq. 6 and 7).

        Locked by `test_azimuths_are_sampled_within_a_range_that_grows_to_both_sides`
        (tests/engines/ar4d/test_generate.py).
        """
        limit = min(int(azimuth_limit(u, self.options)), self.rig.sides_deg)
        return int(random.integers(-limit, limit + 1))

    def _pseudo_comparison(self, pseudo: ViewCache, azimuth_deg: int) -> Comparison:
        """Eq. 8 at one sampled azimuth."""
        terms = pseudo_view(self.options.pseudo_rgb, self.options.pseudo_depth, pseudo.covered_only)
        return Comparison(pseudo.camera(azimuth_deg), pseudo.at(azimuth_deg), terms)
