"""Gaussians that are not there from the first frame to the last (not in the paper).

Sets of a clip's frames correspond by index. A Gaussian that a later frame needs, for a hand that comes from
behind the back or a mouth that opens, is added at the end of that frame's set. The sets of the other frames
are then shorter, and `aligned` gives them the missing Gaussians with opacity 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from ar4d.gaussians import Gaussians, concatenate

RETIRED_BELOW = 0.02  # opacity under which a Gaussian that never comes back is gone
GUIDES = 4  # older Gaussians whose mean motion carries one that is not there yet


def aligned(frames: Sequence[Gaussians]) -> list[Gaussians]:
    """The same sets with as many Gaussians each; those that a frame lacks have opacity 0 there.

    They ride along with the Gaussians around them, so that they are where they will be needed.

    Args:
        frames: sets of neighbouring frames. Of two, the shorter one holds the first of the longer one's.
    """
    result = list(frames)
    backwards = range(len(result) - 2, -1, -1)
    for k, neighbour in [(k, k + 1) for k in backwards] + [(k, k - 1) for k in range(1, len(result))]:
        if len(result[k]) < len(result[neighbour]):
            result[k] = concatenate([result[k], _absent(result[k], result[neighbour])])
    return result


def _absent(frame: Gaussians, neighbour: Gaussians) -> Gaussians:
    """What `neighbour` has and `frame` has not, moved to where it would be in `frame`, with opacity 0."""
    size = len(frame)
    born = neighbour.map(lambda x: x[size:])
    old, new = (x.detach().cpu().numpy() for x in (neighbour.means[:size], born.means))
    guides = torch.from_numpy(np.atleast_2d(KDTree(old).query(new, k=min(GUIDES, size))[1])).to(
        frame.means.device
    )
    motion = (frame.means - neighbour.means[:size])[guides.reshape(len(new), -1)].mean(1)
    return Gaussians(
        born.means + motion, born.quats, born.scales, torch.zeros_like(born.opacities), born.colors
    )


def lifetimes_of(frames: Sequence[Gaussians]) -> Tensor | None:
    """When each Gaussian is there; None where all are there all the time.

    One that is absent, or fades below RETIRED_BELOW, at the start or the end of the clip is born or retired
    there. Between the last frame without it and the first one with it, it fades in.

    Args:
        frames: F ≥ 2 aligned sets of N.

    Returns:
        [N, 4] the times t at which it starts to appear, is there, starts to fade and is gone; beyond [0, 1]
        where it is there at the clip's ends.
    """
    opacities = torch.stack([frame.opacities for frame in frames])  # [F, N]
    last = len(frames) - 1
    there = opacities >= RETIRED_BELOW
    there |= ~there.any(0)  # what is nowhere to be seen is no business of ours
    if not bool((opacities == 0).any()):
        return None
    first = there.float().argmax(0)
    final = last - there.flip(0).float().argmax(0)
    return torch.stack([first - 1.0, first, final, final + 1.0], dim=-1) / last


def presence(lifetimes: Tensor, t: float | Tensor) -> Tensor:
    """[N] in [0, 1]: how far each Gaussian is there at time `t`; a factor of its opacity.

    Args:
        lifetimes: [N, 4] as `lifetimes_of` gives them.
    """
    appears, full, fades, gone = lifetimes.double().unbind(-1)  # frames' times must come out as 0 or 1
    entered = (t - appears) / (full - appears)
    left = (gone - t) / (gone - fades)
    exact = torch.minimum(entered, left).clamp(0, 1)
    return torch.where((exact - exact.round()).abs() < 1e-5, exact.round(), exact).to(lifetimes.dtype)


def at_their_best(frames: Sequence[Gaussians], canonical: int, lifetimes: Tensor) -> Gaussians:
    """The canonical frame's Gaussians, with the opacity of the nearest frame where each is there.

    Args:
        frames: F aligned sets of N.
        lifetimes: [N, 4] of them.
    """
    last = len(frames) - 1
    span = (lifetimes[:, 1:3] * last).round().long()
    nearest = torch.full_like(span[:, 0], canonical).clamp(span[:, 0], span[:, 1])
    opacities = torch.stack([frame.opacities for frame in frames]).gather(0, nearest[None])[0]
    g = frames[canonical]
    return Gaussians(g.means, g.quats, g.scales, opacities, g.colors)
