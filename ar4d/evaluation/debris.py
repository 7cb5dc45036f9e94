"""What makes a view look like debris and no closeness measure sees: specks, and outlines like fur.

Both are properties of one picture, so a clip without ground truth has them too. A value says little
by itself, because a fern is frayed and a leopard has spots: compare it with the truth's, or with the
value of the clip's own frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SOLID = 0.5  # alpha above which a pixel belongs to the object
SMOOTHING = 1 / 64  # of the picture: standard deviation that a smooth outline is made with
LEAST_COVERED = 16  # pixels; below that there is nothing to judge


def specks(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Energy of the finest octave over that of the two next ones, inside the object.

    Haar details of an averaging pyramid: with I₀ = I and I_{l+1} the means of 2×2 blocks,
    e_l = mean (I_l - I_{l+1})² over the blocks that the object covers entirely, and the value is
    e₀ / (e₁ + e₂). Noise that is independent from pixel to pixel has 16/5; natural pictures lie far below 1.

    Args:
        rgb: [..., H, W, 3].
        alpha: [..., H, W].

    Returns:
        A scalar ≥ 0 over all pictures together. Not finite where fewer than 16 pixels are covered or
        the object has one colour.
    """
    image = rgb.reshape(-1, *rgb.shape[-3:]).movedim(-1, 1)  # [B, 3, H, W]
    covered = (alpha.reshape(-1, 1, *alpha.shape[-2:]) > SOLID).to(image.dtype)
    if covered.sum() < LEAST_COVERED:
        return image.new_tensor(torch.nan)
    energies = []
    for _ in range(3):
        height, width = image.shape[-2] // 2 * 2, image.shape[-1] // 2 * 2
        image, covered = image[..., :height, :width], covered[..., :height, :width]
        coarser = F.avg_pool2d(image, 2)
        whole = (F.avg_pool2d(covered, 2) == 1).to(image.dtype)
        detail = image - coarser.repeat_interleave(2, -2).repeat_interleave(2, -1)
        inside = whole.repeat_interleave(2, -2).repeat_interleave(2, -1)
        energies.append((detail.square() * inside).sum() / inside.sum().clamp_min(1))
        image, covered = coarser, whole
    return energies[0] / (energies[1] + energies[2])


def fraying(alpha: Tensor) -> Tensor:
    """Perimeter of the silhouette over that of the smoothed silhouette.

    The silhouette is alpha > 0.5; smoothed, it is blurred by a Gaussian of 1/64 of the picture and cut
    at 0.5 again. Perimeters count the edges between pixels, so that a slanted straight outline is no
    longer than its staircase.

    Args:
        alpha: [..., H, W].

    Returns:
        A scalar over all pictures together: about 1 for a smooth outline; fur, holes and stray specks
        raise it. Not finite where nothing is left of the smoothed silhouette.
    """
    mask = (alpha.reshape(-1, 1, *alpha.shape[-2:]) > SOLID).to(alpha.dtype)
    smooth = (_blur(mask, SMOOTHING * alpha.shape[-1]) > SOLID).to(alpha.dtype)
    return _perimeter(mask) / _perimeter(smooth)


def _perimeter(mask: Tensor) -> Tensor:
    """Number of edges between a pixel inside and one outside; beyond the border is outside."""
    padded = F.pad(mask, (1, 1, 1, 1))
    return padded.diff(dim=-1).abs().sum() + padded.diff(dim=-2).abs().sum()


def _blur(mask: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [B, 1, H, W] with standard deviation `sigma` pixels, zeros beyond the border."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=mask.dtype, device=mask.device)
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    window = window / window.sum()
    rows = F.conv2d(mask, window.view(1, 1, 1, -1), padding=(0, radius))
    return F.conv2d(rows, window.view(1, 1, -1, 1), padding=(radius, 0))
