"""The method: three stages in a row, as one stream of events."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch

from ar4d.asset import Asset4D, FrameSequence, frame_time
from ar4d.cameras import orbit
from ar4d.clip import Clip
from ar4d.engines.ar4d.generate import generate
from ar4d.engines.ar4d.initialize import initialize
from ar4d.engines.ar4d.refine import refine
from ar4d.errors import UserError
from ar4d.events import Event, Finished, Role, Warned
from ar4d.experts.fallback import Ladder
from ar4d.experts.hardware import is_out_of_memory
from ar4d.experts.registry import require
from ar4d.gaussians import Gaussians
from ar4d.losses import psnr, ssim
from ar4d.rendering import render
from ar4d.settings import FACING_DEG, Device, Settings


def lift(
    clip: Clip, settings: Settings, finished: Sequence[Gaussians] = ()
) -> Generator[Event, None, Asset4D]:
    """Turns a clip into a 4D asset.

    Args:
        clip: the frames, at `settings.size`.
        settings: a preset, changed or not.
        finished: frames of an interrupted run of the same clip and settings, from the first one on.
            What follows is bit for bit what the undisturbed run would have made.

    Yields:
        Events; the last one is `Finished`.

    Raises:
        UserError: an expert or the device asked for is not to be had here, or memory runs out in a stage.
    """
    try:
        return (yield from _lift(clip, settings, finished))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"Memory ran out at {settings.size} pixels and {settings.budget} Gaussians; "
            "close other programs, or take the preset fast or a smaller size (finished frames are kept)."
        ) from error


def _lift(clip: Clip, settings: Settings, finished: Sequence[Gaussians]) -> Generator[Event, None, Asset4D]:
    device = resolve_device(settings.device)
    for message in clip.warnings:
        yield Warned(message)
    rgba = torch.from_numpy(clip.frames).to(device).float() / 255
    targets = clip.rgb_on_white().to(device)
    frames = [gaussians.to(device) for gaussians in finished]
    if not frames:
        expert = yield from Ladder.raised(_roles(settings)[0], settings.initialize.expert, device)
        expert.watch(rgba, FACING_DEG.get(settings.facing))
        if settings.facing == "auto" and settings.elevation_deg == 0:  # else no plane is used
            yield from expert.seen_facing()
        frames = [(yield from initialize(rgba[0], targets[0], expert, settings))]
        del expert  # its networks leave the memory
    if len(frames) < clip.num_frames:
        prior = None
        if settings.generate.progressive_views:
            prior = yield from Ladder.raised(_roles(settings)[1], settings.generate.expert, device)
            prior.watch(rgba, FACING_DEG.get(settings.facing))
        frames = yield from generate(rgba, targets, frames, prior, settings)
        del prior
    if settings.refine.enabled and clip.num_frames > 1:
        asset: Asset4D = yield from refine(targets, frames, clip.fps, settings)
    else:
        asset = FrameSequence(tuple(frames), clip.fps)
    yield _finished(asset, targets, settings)
    return asset


def check(settings: Settings) -> None:
    """Tells at once what `lift` would only find out later.

    Raises:
        UserError: an expert or the device asked for is not to be had here.
    """
    device = resolve_device(settings.device)
    first, later = _roles(settings)
    require(first, settings.initialize.expert, device)
    if settings.generate.progressive_views:
        require(later, settings.generate.expert, device)


def resolve_device(device: Device) -> torch.device:
    """The device to compute on; "auto" is the GPU where there is one.

    Raises:
        UserError: a GPU is asked for and torch sees none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "No CUDA device is visible to torch: install torch with CUDA and a driver, or use --device cpu."
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def _roles(settings: Settings) -> tuple[Role, Role]:
    """What the experts of stages 1 and 2 have to be able to do."""
    if settings.kind == "scene":
        return "scene_to_gaussians", "scene_to_gaussians"
    return "image_to_gaussians", "views_to_gaussians"


@torch.no_grad()
def _finished(asset: Asset4D, targets: torch.Tensor, settings: Settings) -> Finished:
    """Measures the asset at the reference view, frame by frame."""
    camera = orbit(0.0, settings.elevation_deg, size=settings.size)
    qualities = []
    for k, target in enumerate(targets):
        view = render(asset.at(frame_time(k, asset.num_frames)), camera).rgb
        qualities.append((psnr(view, target[None]).item(), ssim(view, target[None]).item()))
    return Finished(asset, *(tuple(values) for values in zip(*qualities, strict=True)))
