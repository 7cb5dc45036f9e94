"""How far two batches of images are apart. All images are [B, H, W, 3], as `render` gives them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS
from ar4d.rendering import Rendering

WINDOW = 11  # px
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]


@dataclass(frozen=True)
class Terms:
    """Weights of the terms by which a view is compared with what it should be."""

    l1: float = 0.0
    """Of the mean absolute difference of colours."""
    l2: float = 0.0
    """Of the mean squared difference of colours."""
    ssim: float = 0.0
    """Of 1 - SSIM."""
    depth: float = 0.0
    """Of the mean absolute difference of depths, in orbit radii."""
    alpha: float = 0.0
    """Of the mean absolute difference of alphas."""
    covered_only: bool = False
    """Leave out the pixels where what is expected is more than half transparent (SSIM does not)."""

    def loss(self, view: Rendering, expected: Rendering) -> Tensor:
        """The weighted sum of the terms; differentiable by `view`."""
        mask = (expected.alpha > 0.5).float() if self.covered_only else torch.ones_like(expected.alpha)
        total = view.rgb.new_zeros(())
        if self.l1 > 0 and self.ssim > 0 and not self.covered_only:
            similarity, difference = _similarity(view.rgb, expected.rgb)
            total = total + self.l1 * difference + self.ssim * (1 - similarity)
        else:
            if self.l1 > 0:
                total = total + self.l1 * ((view.rgb - expected.rgb).abs() * mask[..., None]).mean()
            if self.ssim > 0:
                total = total + self.ssim * (1 - _similarity(view.rgb, expected.rgb)[0])
        if self.l2 > 0:
            total = total + self.l2 * ((view.rgb - expected.rgb).square() * mask[..., None]).mean()
        if self.depth > 0:
            total = total + self.depth * ((view.depth - expected.depth).abs() * mask).mean() / RADIUS
        if self.alpha > 0:
            total = total + self.alpha * ((view.alpha - expected.alpha).abs() * mask).mean()
        return total


def photometric(ssim_weight: float, alpha_weight: float = 0.0) -> Terms:
    """(1 - w) L1 + w (1 - SSIM), the paper's Eq. 5 with w = `ssim_weight` in [0, 1].

    Args:
        alpha_weight: of L1 on alpha (not in the paper).

    Locked by `test_equation_5_by_hand` (tests/test_losses.py).
    """
    return Terms(l1=1 - ssim_weight, ssim=ssim_weight, alpha=alpha_weight)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean SSIM of [B, H, W, 3] images with values in [0, 1]; differentiable by `a`.

    11×11 Gaussian window, σ 1.5, zeros beyond the border, as the 3DGS code has it.
    """
    return _similarity(a, b)[0]


def photometric_loss(a: Tensor, b: Tensor, ssim_weight: float) -> Tensor:
    """`photometric` of pictures [B, H, W, 3] alone; differentiable by `a`."""
    similarity, difference = _similarity(a, b)
    return (1 - ssim_weight) * difference + ssim_weight * (1 - similarity)


def reference() -> Terms:
    """‖R_ref(G) - v₁‖² of Eq. 2: the mean squared error of two images.

    Locked by `test_equation_2_by_hand` (tests/test_losses.py).
    """
    return Terms(l2=1.0)


def pseudo_view(rgb_weight: float, depth_weight: float, covered_only: bool = False) -> Terms:
    """l_rgb + l_depth of Eq. 8, at one azimuth: L1 on colours and on depths, in orbit radii.

    Args:
        rgb_weight: of l_rgb.
        depth_weight: of l_depth.
        covered_only: leave out the pixels where the pseudo-Gaussians Ĝ are more than half transparent.

    Locked by `test_equation_8_by_hand` (tests/test_losses.py).
    """
    return Terms(l1=rgb_weight, depth=depth_weight, covered_only=covered_only)


def geometry(depth_weight: float, rgb_weight: float) -> Terms:
    """l_depth of Eq. 11, in orbit radii; with `rgb_weight` > 0 also L1 on colours (not in the paper).

    Locked by `test_equation_11_by_hand` (tests/test_losses.py).
    """
    return Terms(l1=rgb_weight, depth=depth_weight)


def preservation(weight: float) -> Terms:
    """L1 on colour and alpha between stage 1's Gaussians and the expert's own (not in the paper)."""
    return Terms(l1=weight, alpha=weight)


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
