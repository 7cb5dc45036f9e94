"""How far two batches of images are apart. All images are [B, H, W, 3], as `render` gives them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS
from ar4d.rendering import Rendering

WINDOW = 11  # px
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]


def photometric(a: Tensor, b: Tensor, ssim_weight: float) -> Tensor:
    """(1 - w) L1 + w (1 - SSIM), the paper's Eq. 5 with w = `ssim_weight`; differentiable by `a`.

    Args:
        a, b: [B, H, W, 3].
        ssim_weight: in [0, 1].

    Locked by `test_equation_5_by_hand` (tests/test_losses.py).
    """
    similarity, difference = _similarity(a, b)
    return (1 - ssim_weight) * difference + ssim_weight * (1 - similarity)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean SSIM of [B, H, W, 3] images with values in [0, 1]; differentiable by `a`.

    11×11 Gaussian window, σ 1.5, zeros beyond the border, as the 3DGS code has it.
    """
    return _similarity(a, b)[0]


def reference_loss(view: Tensor, target: Tensor) -> Tensor:
    """‖R_ref(G) - v₁‖² of Eq. 2: the mean squared error of two images [B, H, W, 3].

    Locked by `test_equation_2_by_hand` (tests/test_losses.py).
    """
    return (view - target).square().mean()


def pseudo_view_loss(
    view: Rendering, expected: Rendering, rgb_weight: float, depth_weight: float, covered_only: bool = False
) -> Tensor:
    """l_rgb + l_depth of Eq. 8, at one azimuth: L1 on colours and on depths, in orbit radii.

    Args:
        view: of the Gaussians that are fitted.
        expected: of the pseudo-Gaussians Ĝ, from the same camera.
        rgb_weight: of l_rgb.
        depth_weight: of l_depth.
        covered_only: leave out the pixels where Ĝ is more than half transparent.

    Locked by `test_equation_8_by_hand` (tests/test_losses.py).
    """
    mask = (expected.alpha > 0.5).float() if covered_only else torch.ones_like(expected.alpha)
    rgb = ((view.rgb - expected.rgb).abs() * mask[..., None]).mean()
    depth = ((view.depth - expected.depth).abs() * mask).mean() / RADIUS
    return rgb_weight * rgb + depth_weight * depth


def geometry_loss(view: Rendering, expected: Rendering, depth_weight: float, rgb_weight: float) -> Tensor:
    """l_depth of Eq. 11, in orbit radii; with `rgb_weight` > 0 also L1 on colours (not in the paper).

    Args:
        view: of the refined Gaussians.
        expected: of stage 2's Gaussians of the same frame, from the same camera.

    Locked by `test_equation_11_by_hand` (tests/test_losses.py).
    """
    depth = depth_weight * (view.depth - expected.depth).abs().mean() / RADIUS
    return depth + rgb_weight * (view.rgb - expected.rgb).abs().mean()


def preservation_loss(view: Rendering, expected: Rendering) -> Tensor:
    """L1 on colour and alpha between stage 1's Gaussians and the expert's own (not in the paper)."""
    return (view.rgb - expected.rgb).abs().mean() + (view.alpha - expected.alpha).abs().mean()


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB over the whole batch, for values in [0, 1]."""
    return -10 * torch.log10(F.mse_loss(a, b))


def _similarity(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean absolute difference."""
    if a.is_cuda:
        return similarity_torch(a, b.detach())
    from ar4d.kernels.ssim import similarity

    return similarity(a, b)


def similarity_torch(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """`_similarity` in plain torch, on any device: separable depthwise convolutions."""
    planes = torch.stack([a, b, a * a + b * b, a * b])  # [4, B, H, W, 3]
    ma, mb, e, x = _blur(planes.movedim(-1, 2)).movedim(2, -1)
    above = (2 * ma * mb + C1) * (2 * (x - ma * mb) + C2)
    below = (ma * ma + mb * mb + C1) * (e - ma * ma - mb * mb + C2)
    return (above / below).mean(), (a - b).abs().mean()


def _blur(planes: Tensor) -> Tensor:
    """Gaussian window over the last two axes."""
    offsets = torch.arange(WINDOW, dtype=planes.dtype, device=planes.device) - WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    window = window / window.sum()
    flat = planes.reshape(-1, 1, *planes.shape[-2:])
    flat = F.conv2d(flat, window.view(1, 1, 1, -1), padding=(0, WINDOW // 2))
    flat = F.conv2d(flat, window.view(1, 1, -1, 1), padding=(WINDOW // 2, 0))
    return flat.view(planes.shape)
