"""Stage 3 (Sec. 4.3): one canonical set and one global field for all frames removes the drift."""

from __future__ import annotations

import copy
import time
from collections.abc import Generator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ar4d.asset import DeformedGaussians, frame_time
from ar4d.cameras import orbit
from ar4d.clip.streamed import Frames
from ar4d.deformation import DeformationField, NodeField, global_field
from ar4d.engines.ar4d.fitting import (
    REPORT_EVERY,
    Comparison,
    FallingAdam,
    Fitted,
    FitWarnings,
    FrameViews,
    fit_of,
    halved,
    pictured,
    random_stream,
    seed_networks,
)
from ar4d.engines.ar4d.hold import Hold
from ar4d.events import Event, Refined, StageFinished, StageStarted, Step
from ar4d.gaussians import Gaussians
from ar4d.lifetimes import at_their_best, lifetimes_of, presence
from ar4d.losses import Terms, geometry, photometric, psnr
from ar4d.parameters import Parameters
from ar4d.settings import FieldSettings, ReferenceRig, RefineSettings

PREVIEW_SECONDS = 4.0  # between two looks at the asset on its way
WARM_LR = 2e-3
WARM_SHARE = 0.05
WHITE = 254 / 255


def refine(
    targets: Frames,
    frames: Sequence[Gaussians],
    fps: float,
    options: RefineSettings,
    rig: ReferenceRig,
    seed: int,
    sigmoid_colors: bool,
    canonical: int = 0,
) -> Generator[Event, None, DeformedGaussians]:
    """Fits G₁ and a global field F_θ(γ(μ), t) to all frames (Eq. 9-11).

    Args:
        targets: F frames [S, S, 3] of the clip on white.
        frames: F frames of stage 2, in the clip's order.
        fps: of the clip, for the asset.
        rig: the cameras; S is `rig.size`.
        seed: of the run.
        sigmoid_colors: optimise the colours' logits.
        canonical: index of the frame that is G₁.

    Yields:
        Progress.

    Returns:
        The asset.
    """
    started = time.perf_counter()
    yield StageStarted("refine", options.warm_start + options.iterations)
    seed_networks(seed, 3)
    first, lifetimes = frames[canonical], lifetimes_of(frames) if len(frames) > 1 else None
    if lifetimes is not None:
        first = at_their_best(frames, canonical, lifetimes)
    parameters = replace(Parameters.of(first, sigmoid_colors), lifetimes=lifetimes)
    hold = Hold.of(frames, orbit(0.0, rig.elevation_deg, size=rig.size), options.hold)
    field = global_field(
        options.field, torch.stack([frame.means for frame in frames]), hold.freedom, canonical
    )
    if options.warm_start:
        yield from _learn_motion(field, parameters, frames, options, seed)
    yield from _fit(parameters, field, hold, frames, targets, options, rig, seed, fps)
    yield StageFinished("refine", time.perf_counter() - started)
    for tensor in parameters.state().values():
        tensor.requires_grad_(False)
    return DeformedGaussians(parameters, field.requires_grad_(False), options.field, len(frames), fps)


def _fit(
    parameters: Parameters,
    field: DeformationField,
    hold: Hold,
    frames: Sequence[Gaussians],
    targets: Frames,
    options: RefineSettings,
    rig: ReferenceRig,
    seed: int,
    fps: float,
) -> Generator[Event, None, None]:
    """Eq. 10: l_ref + l_depth, one random frame and one random azimuth a step.

    Locked by `test_the_loss_of_a_step_is_equation_10` and `test_the_papers_loss_is_l1_and_depth_alone`
    (tests/engines/ar4d/test_refine.py).
    """
    random = random_stream(seed, 3)
    fitted = Fitted(
        parameters,
        options.rates,
        options.decay,
        options.iterations,
        hold,
        field,
        options.field,
        len(frames),
        options.color_change,
    )
    fit = fit_of(fitted)
    warnings = FitWarnings("the refinement")
    reference = orbit(0.0, rig.elevation_deg, size=rig.size)
    shown = time.monotonic()
    views = FrameViews(frames, rig.elevation_deg)
    coarse_steps = options.coarse_share * options.iterations if options.target == "input" else 0
    small_camera = orbit(0.0, rig.elevation_deg, size=max(rig.size // 2, 1))
    # The view of a frame that shows nothing is no evidence.
    shows_object = [bool((targets[k] < WHITE).any()) for k in range(len(frames))]
    order: list[int] = []
    for u in range(options.iterations):
        order = order or random.permutation(len(frames)).tolist()  # every frame equally often
        k = order.pop()
        azimuth_deg = int(random.integers(-rig.sides_deg, rig.sides_deg))
        wanted = pictured(targets[k]) if options.target == "input" else views.at(k, 0, rig.size)
        camera = views.camera(azimuth_deg, rig.pseudo_size)
        expected = views.at(k, azimuth_deg, rig.pseudo_size)
        terms = photometric(1 - options.l1) if shows_object[k] else Terms()
        coarse = u < coarse_steps
        comparisons = [
            Comparison(small_camera, pictured(halved(targets[k])), terms)
            if coarse
            else Comparison(reference, wanted, terms),
            Comparison(camera, expected, geometry(options.depth, options.rgb)),  # Eq. 11
        ]
        fit.step(u, comparisons, frame_time(k, len(frames)))
        yield from warnings.after(u, fit)
        if (u + 1) % REPORT_EVERY == 0 or u + 1 == options.iterations:
            step, total = options.warm_start + u + 1, options.warm_start + options.iterations
            yield Step(
                "refine", None, step, total, fit.loss, psnr(fit.view, comparisons[0].expected.rgb).item()
            )
            if time.monotonic() > shown + PREVIEW_SECONDS and step < total:
                yield Refined("refine", step, _snapshot(parameters, field, options.field, len(frames), fps))
                shown = time.monotonic()


def _snapshot(
    parameters: Parameters, field: DeformationField, settings: FieldSettings, num_frames: int, fps: float
) -> DeformedGaussians:
    """The asset as it is now, which does not change while the fit goes on."""
    copied = {name: tensor.detach().clone() for name, tensor in parameters.state().items()}
    frozen = Parameters(**copied, sigmoid_colors=parameters.sigmoid_colors)
    return DeformedGaussians(frozen, copy.deepcopy(field).requires_grad_(False), settings, num_frames, fps)


def _learn_motion(
    field: DeformationField,
    canonical: Parameters,
    frames: Sequence[Gaussians],
    options: RefineSettings,
    seed: int,
) -> Generator[Event, None, None]:
    """Warm start: the field learns where stage 2 moved every Gaussian of G₁ (they correspond).

    Without it the field would have to find the motion again from renders of single frames, and the
    reference view would lose what stage 2 won.
    """
    random = random_stream(seed, 3, 1)
    optimizer = FallingAdam(options.warm_start)
    optimizer.add(field.parameters(), WARM_LR, WARM_SHARE)
    optimizer.start()
    if isinstance(field, NodeField) and options.field.kind == "node-table":
        _follow_gaussians(field, canonical, frames)
    order: list[int] = []
    for u in range(options.warm_start):
        order = order or random.permutation(len(frames)).tolist()
        k = order.pop()
        loss = _motion_error(field, canonical, frames[k], frame_time(k, len(frames)))
        optimizer.step(loss, u)
        if (u + 1) % REPORT_EVERY == 0:
            total = options.warm_start + options.iterations
            yield Step("refine", None, u + 1, total, loss.item(), float("nan"))
    field.zero_grad()  # a gradient for every keyframe takes as much memory as they do


def _motion_error(field: DeformationField, canonical: Parameters, frame: Gaussians, t: float) -> Tensor:
    """Mean distance of moved from wanted means, and a little of the other deformed attributes."""
    moved = canonical.activated(field, t)
    turn = 1 - (moved.quats * frame.quats).sum(-1).abs()
    growth = (moved.scales.log() - frame.scales.log()).abs()
    fading = (moved.opacities - frame.opacities).abs()
    distance = (moved.means - frame.means).norm(dim=-1).mean()
    return distance + 0.01 * (turn.mean() + growth.mean() + fading.mean())


@torch.no_grad()
def _follow_gaussians(field: NodeField, canonical: Parameters, frames: Sequence[Gaussians]) -> None:
    """First guess for a table: every node moves, grows and fades as its Gaussians do on average."""
    for k, frame in enumerate(frames):
        now = Parameters.of(frame, canonical.sigmoid_colors)
        fading = now.logit_opacities - canonical.logit_opacities
        if canonical.lifetimes is not None:  # what is absent does not fade: it has a lifetime
            fading = fading * (presence(canonical.lifetimes, frame_time(k, len(frames))) == 1)
        change = torch.cat(
            [
                now.means - canonical.means,
                torch.zeros_like(now.means),  # rotations are learnt
                fading[:, None],
                now.log_scales - canonical.log_scales,
                now.colors - canonical.colors,
            ],
            dim=-1,
        )[:, : field.table.shape[2]]
        field.table[k] = field.mean_at_nodes(change)
