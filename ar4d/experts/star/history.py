"""Which tokens a group knows before it is predicted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ar4d.experts.star.config import CodecConfig, StarConfig


@dataclass(frozen=True)
class Context:
    """What is known when the group of one time is predicted."""

    given: Tensor  # [B, N, K] codes of the clip's frame at this time
    codes: Tensor  # [B, H, K] codes of the history
    views: Tensor  # [H] view of each token of the history
    places: Tensor  # [H] token of the picture, in [0, N)
    frames: Tensor  # [H] time relative to the group's
    guess: Tensor | None = None  # [B, G, K] codes of a guess of the group, in the order of prediction


def context_of(clip: Tensor, groups: Tensor, frame: int, codec: CodecConfig, star: StarConfig) -> Context:
    """The clip's frame at this time, the earlier groups, and the clip's frames around.

    The history holds the first time and the latest ones, all views of them, and the clip's next frames. It
    is as long for a clip of 300 frames as for one of 20, so that the cost is linear in the frames.

    Args:
        clip: [B, F, N, K] codes of the clip's frames.
        groups: [B, ≥ frame, (V - 1) N, K] codes of the unseen views at the times before, view by
            view in the views' own order.
        frame: of the group, from 0.
    """
    start = max(1, frame - star.history_groups + 1)
    past = ([0] if frame else []) + list(range(start, frame))
    ahead = [k for k in range(frame + 1, frame + 1 + star.ahead) if k < clip.shape[1]]
    codes, views, places, frames = [], [], [], []
    place = torch.arange(codec.tokens, device=clip.device)
    for k in past:
        codes.append(torch.cat([clip[:, k], groups[:, k]], 1))
        views.append(torch.arange(codec.views, device=clip.device).repeat_interleave(codec.tokens))
        places.append(place.repeat(codec.views))
    for k in ahead:
        codes.append(clip[:, k])
        views.append(torch.zeros_like(place))
        places.append(place)
    frames = [torch.full_like(v, k - frame) for k, v in zip([*past, *ahead], views, strict=True)]
    if not codes:
        nothing = place[:0]
        return Context(clip[:, frame], clip[:, 0, :0], nothing, nothing, nothing)
    return Context(
        clip[:, frame], torch.cat(codes, 1), torch.cat(views), torch.cat(places), torch.cat(frames)
    )
