"""What the engines share: how they get their experts, what they say at the end, how a full memory reads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ar4d.asset import Asset4D, frame_time
from ar4d.cameras import orbit
from ar4d.clip.streamed import Frames
from ar4d.engines.base import Experts
from ar4d.errors import UserError
from ar4d.events import Event, ExpertChosen, FacingEstimated, Finished, Role
from ar4d.experts.fallback import Fallback, shown_clip
from ar4d.experts.hardware import is_out_of_memory
from ar4d.experts.played import BegunViews
from ar4d.experts.protocols import ClipAware
from ar4d.experts.translucent import Translucent
from ar4d.losses import psnr, ssim
from ar4d.rendering import render


def expert_for(
    role: Role,
    name: str,
    given: Experts,
    device: torch.device,
    emit: Callable[[Event], None],
    clip: Tensor,
    facing_deg: float | None,
    opacity: float,
) -> Generator[Event, None, Any]:
    """The expert for a role, given as an object or by its name, having seen the clip.

    Args:
        given: experts given as objects, by role.
        emit: called with what is said later, from within a stage.
        clip: [F, S, S, 4] straight alpha in [0, 1].
        facing_deg: azimuth that the object faces in the first frame; None where the user gave none.
        opacity: of a subject that is translucent throughout; 1 for any other.

    Yields:
        The progress of a download, and which expert it is.
    """
    there = given.get(role)
    if there is None or isinstance(there, BegunViews):
        expert = yield from Fallback.load(role, name, device, emit)
    else:
        expert = there
        yield ExpertChosen(role, expert.name, "given as an object")
    if opacity < 1 and role in ("image_to_gaussians", "views_to_gaussians"):
        expert = Translucent(expert, opacity)
    expert = shown_clip(expert, clip, facing_deg)
    return there.continued_by(expert) if isinstance(there, BegunViews) else expert


def facing_of(expert: Any) -> Iterator[Event]:
    """The direction that the object faces, if the expert estimates it."""
    if isinstance(expert, ClipAware) and expert.facing_estimate is not None:
        yield FacingEstimated(*expert.facing_estimate)


@contextmanager
def memory_in_words(what: str) -> Iterator[None]:
    """Turns a full memory into a sentence.

    Args:
        what: what was too large, as in "512 pixels and 65536 Gaussians".

    Raises:
        UserError: memory ran out inside.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"Memory ran out at {what}; close other programs, or take the preset fast or a smaller size "
            "(finished frames are kept)."
        ) from error


@torch.no_grad()
def finished(asset: Asset4D, targets: Frames, elevation_deg: float) -> Finished:
    """Measures the asset at the clip's own view, frame by frame.

    Args:
        targets: F frames [S, S, 3] of the clip on white.
    """
    camera = orbit(0.0, elevation_deg, size=len(targets[0]))
    qualities = []
    for k in range(len(targets)):
        target = targets[k]
        view = render(asset.at(frame_time(k, asset.num_frames)), camera).rgb
        qualities.append((psnr(view, target[None]).item(), ssim(view, target[None]).item()))
    return Finished(asset, *(tuple(values) for values in zip(*qualities, strict=True)))
