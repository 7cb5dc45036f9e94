"""What the picture shows beyond the network's resolution, lent to the sides that it does not show.

The network predicts colours at OUT_SIZE² pixels, and hidden sides look smoother than the picture. An
animal's other flank has a fur of the same kind, so hidden points take the fine detail of the visible point
in front of them.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ar4d.experts.embedded.geometry import sample_view
from ar4d.experts.embedded.network import OUT_SIZE

INNER_ALPHA = 0.97
"""Mean alpha around a pixel from which its detail is the object's alone."""


def with_fine_detail(colors: Tensor, points: Tensor, rgb: Tensor, alpha: Tensor, share: float) -> Tensor:
    """Colours [..., 3] of points [..., 3] with a share of the picture's fine detail where they are in it.

    Args:
        rgb: [3, S, S] the picture, straight.
        alpha: [S, S] of the picture.
        share: in [0, 1].
    """
    detail = sample_view(fine_detail(rgb, alpha), points, 0).movedim(0, -1)
    return (colors + share * detail).clamp(0, 1)


def fine_detail(rgb: Tensor, alpha: Tensor) -> Tensor:
    """[3, S, S] the picture minus what OUT_SIZE² pixels show of it; 0 near the outline and outside."""
    size = rgb.shape[-1]
    if size <= OUT_SIZE:
        return rgb.new_zeros(rgb.shape)
    covered = _coarse(alpha[None])
    coarse = _coarse(rgb * alpha) / covered.clamp_min(1e-3)
    return (rgb - coarse) * (covered > INNER_ALPHA)


def _coarse(image: Tensor) -> Tensor:
    """An image [C, S, S] at OUT_SIZE² pixels, and back at S² pixels."""
    small = F.interpolate(image[None], size=(OUT_SIZE, OUT_SIZE), mode="area")
    return F.interpolate(small, size=image.shape[1:], mode="bilinear", align_corners=False)[0]
