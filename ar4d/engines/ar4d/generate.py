"""Stage 2 (Sec. 4.2): each frame's Gaussians from the previous frame's, through a local field."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import cast

import torch
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, RADIUS, orbit
from ar4d.deformation import local_field
from ar4d.engines.ar4d.fitting import REPORT_EVERY, FallingAdam, ViewCache, random_stream, seed_networks
from ar4d.events import Event, FrameFinished, StageFinished, StageStarted, Step
from ar4d.experts import SceneToGaussians, ViewsToGaussians
from ar4d.experts.fallback import Ladder
from ar4d.gaussians import Gaussians
from ar4d.losses import photometric, psnr, ssim
from ar4d.parameters import Parameters
from ar4d.rendering import Rendering, render
from ar4d.settings import GenerateSettings, Settings

PseudoExpert = ViewsToGaussians | SceneToGaussians | Ladder
"""Makes Ĝ: of four views of an object, or of the frame itself for a scene."""


def generate(
    rgba: Tensor,
    targets: Tensor,
    finished: Sequence[Gaussians],
    expert: PseudoExpert | None,
    settings: Settings,
) -> Generator[Event, None, list[Gaussians]]:
    """Makes G₂ … G_F.

    Args:
        rgba: [F, S, S, 4] the clip in [0, 1], straight alpha.
        targets: [F, S, S, 3] the same on white.
        finished: the frames that exist already: G₁, and those of an interrupted run.
        expert: makes the pseudo-Gaussians; None where progressive view sampling is off.

    Yields:
        Progress, and each frame as it is finished.

    Returns:
        All F frames.
    """
    started = time.perf_counter()
    frames = list(finished)
    yield StageStarted("generate", (len(rgba) - len(frames)) * settings.generate.iterations)
    for index in range(len(frames), len(rgba)):
        source = frames[-1] if settings.generate.autoregressive else frames[0]
        frame = yield from _next_frame(source, index, rgba[index], targets[index], expert, settings)
        frames.append(frame)
    yield StageFinished("generate", time.perf_counter() - started)
    return frames


def azimuth_limit(u: int, options: GenerateSettings) -> float:
    """N_u of Eq. 6 in degrees: min(N_max, ⌊u / η⌋ + N_start)."""
    return min(options.max_azimuth, u // options.steps_per_degree + options.start_azimuth)


def _next_frame(
    source: Gaussians,
    index: int,
    rgba: Tensor,
    target: Tensor,
    expert: PseudoExpert | None,
    settings: Settings,
) -> Generator[Event, None, Gaussians]:
    """Eq. 3, 5 and 7: fits a local field, and a copy of the source's own parameters, to one frame.

    The source itself stays as it is: it is the previous frame's result.
    """
    options = settings.generate
    started = time.perf_counter()
    random = random_stream(settings.seed, 2, index)
    seed_networks(settings.seed, 2, index)
    parameters = Parameters.of(source, settings.initialize.sigmoid_colors)
    field = local_field(options.field, source.means)
    optimizer = FallingAdam(options.iterations)
    optimizer.add(field.parameters(), options.field.lr, options.field.lr_final / options.field.lr)
    for tensor, lr in parameters.trainable(options.rates):
        optimizer.add([tensor], lr, options.decay)
    optimizer.start()
    reference = orbit(0.0, settings.elevation_deg, size=settings.size)
    for u in range(options.iterations):
        gaussians = parameters.activated(field)
        view = render(gaussians, reference)
        loss = photometric(view.rgb, target[None], 1 - options.l1)  # Eq. 5
        if options.alpha > 0:
            loss = loss + options.alpha * (view.alpha - rgba[None, ..., 3]).abs().mean()
        if expert is not None:
            if u % options.pseudo_every == 0:
                pseudo = _pseudo_views(gaussians, rgba, expert, settings)
                if isinstance(expert, Ladder):
                    yield from expert.news()
            limit = min(int(azimuth_limit(u, options)), settings.sides_deg)
            azimuth_deg = int(random.integers(-limit, limit + 1))
            loss = loss + _pseudo_loss(gaussians, pseudo, azimuth_deg, settings)  # Eq. 7
        optimizer.step(loss, u)
        if (u + 1) % REPORT_EVERY == 0 or u + 1 == options.iterations:
            yield Step(
                "generate", index, u + 1, options.iterations, loss.item(), psnr(view.rgb, target[None]).item()
            )
    with torch.no_grad():
        gaussians = parameters.activated(field).detach()
        view = render(gaussians, reference).rgb
    quality = psnr(view, target[None]).item(), ssim(view, target[None]).item()
    yield FrameFinished("generate", index, gaussians, *quality, time.perf_counter() - started)
    return gaussians


@torch.no_grad()
def _pseudo_views(gaussians: Gaussians, rgba: Tensor, expert: PseudoExpert, settings: Settings) -> ViewCache:
    """Ĝ, the expert's Gaussians from four orthogonal renders, with the actual frame in place of view 0.

    Of a scene there is no view from behind: its Ĝ are lifted from the actual frame alone, at the scale
    of the scene as it is by now (the paper's Splatt3R sees the reference view and one more).
    """
    if settings.kind == "scene":
        seen = render(gaussians, orbit(0.0, settings.elevation_deg, size=settings.size))
        known = torch.where(seen.alpha > 0.5, seen.depth / seen.alpha.clamp_min(1e-6), 0.0)[0]
        pseudo = cast(SceneToGaussians, expert).relift(rgba, known, settings.budget, settings.elevation_deg)
        return ViewCache(pseudo, settings.elevation_deg, settings.pseudo_size)
    cameras = orbit(ORTHOGONAL_AZIMUTHS_DEG[1:], settings.elevation_deg, size=settings.size)
    renders = render(gaussians, cameras, background=None)
    views = torch.cat([rgba[None], _straight(renders)])
    pseudo = cast(ViewsToGaussians, expert).reconstruct(views, settings.elevation_deg)
    return ViewCache(pseudo, settings.elevation_deg, settings.pseudo_size)


def _straight(premultiplied: Rendering) -> Tensor:
    """[C, H, W, 4] straight alpha in [0, 1] of renders without a background."""
    alpha = premultiplied.alpha[..., None]
    return torch.cat([premultiplied.rgb / alpha.clamp_min(1e-6), alpha], dim=-1).clamp(0, 1)


def _pseudo_loss(gaussians: Gaussians, pseudo: ViewCache, azimuth_deg: int, settings: Settings) -> Tensor:
    """l_rgb + l_depth of Eq. 8, at one sampled azimuth; depth is measured in orbit radii.

    Where Ĝ of a scene shows nothing, something in front hides what an earlier frame may have shown.
    """
    options = settings.generate
    expected = pseudo.at(azimuth_deg)
    seen = render(gaussians, orbit(float(azimuth_deg), pseudo.elevation_deg, size=pseudo.size))
    told = (expected.alpha > 0.5).float() if settings.kind == "scene" else torch.ones_like(expected.alpha)
    rgb = ((seen.rgb - expected.rgb).abs() * told[..., None]).mean()
    depth = ((seen.depth - expected.depth).abs() * told).mean() / RADIUS
    return options.pseudo_rgb * rgb + options.pseudo_depth * depth
