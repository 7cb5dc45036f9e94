"""What the network is shown at cells that are not known: the embedded expert's guess of each frame alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.geometry import VIEWS
from ar4d.images import premultiply

EMPTY = 0.5
"""A frame whose alpha is nowhere higher shows nothing, and neither does its guess."""


@torch.no_grad()
def guess_frame(expert: Embedded, rgba: Tensor, size: int) -> Tensor:
    """The four orthogonal views of one frame, without a rasteriser.

    Args:
        expert: having seen the clip.
        rgba: [S, S, 4] in [0, 1], straight alpha, at elevation 0.
        size: width and height of the result.

    Returns:
        [4, 4, size, size] premultiplied in [0, 1]; view 0 is the frame.
    """
    frame = shrunk(premultiply(rgba).permute(2, 0, 1), size)
    if float(rgba[..., 3].max()) <= EMPTY:
        return frame.new_zeros(VIEWS, *frame.shape)
    maps = expert.guess_views(rgba)
    alpha = maps.alpha[:, None].clamp(0, 1)
    views = shrunk(torch.cat([maps.rgb.clamp(0, 1) * alpha, alpha], 1), size).to(frame)
    return torch.cat([frame[None], views[1:]])


def shrunk(pictures: Tensor, size: int) -> Tensor:
    """Premultiplied [..., C, S, S] at another size: area averages when smaller, bilinear when larger."""
    if pictures.shape[-1] == size:
        return pictures
    stack = pictures.reshape(-1, *pictures.shape[-3:])
    if size < pictures.shape[-1]:
        stack = F.interpolate(stack, size=(size, size), mode="area")
    else:
        stack = F.interpolate(stack, size=(size, size), mode="bilinear", align_corners=False)
    return stack.unflatten(0, pictures.shape[:-3]) if pictures.ndim > 3 else stack[0]
