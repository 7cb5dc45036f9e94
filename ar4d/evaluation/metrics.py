"""What is measured about pictures: closeness to the truth, and the faults that closeness hides.

Pictures are float32 RGB in [0, 1] on white, alphas float32 in [0, 1]. PSNR, SSIM and the silhouette
give one number per picture. The others are shares and ratios over everything they are given, so
that a frame with little in it weighs little: pass the frames of one view together.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d import losses

COVERED = 0.1  # alpha above which a pixel shows something
OPAQUE = 0.9  # alpha from which it is solid
_SEAM_WIDTH = 1 / 32  # of the picture: the widest gap that counts as a seam


def psnr(pred: Tensor, true: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, -10 log₁₀ of the mean squared error.

    Args:
        pred: [..., H, W, 3]; values outside [0, 1] count as the nearest colour that can be shown.
        true: as `pred`.

    Returns:
        [...] in dB, at most 100; larger is better.
    """
    error = (pred.clamp(0, 1) - true).square().mean(dim=(-3, -2, -1))
    return -10 * torch.log10(error.clamp(min=1e-10))


def ssim(pred: Tensor, true: Tensor) -> Tensor:
    """Structural similarity: 11×11 Gaussian window, σ = 1.5, zeros beyond the border.

    Args:
        pred: [..., H, W, 3]; values outside [0, 1] count as the nearest colour that can be shown.
        true: as `pred`.

    Returns:
        [...] in [-1, 1]; larger is better, 1 is the same picture.
    """
    *batch, height, width, channels = pred.shape
    a = pred.clamp(0, 1).reshape(-1, 1, height, width, channels)
    b = true.reshape(-1, 1, height, width, channels)
    return torch.stack([losses.ssim(x, y) for x, y in zip(a, b, strict=True)]).reshape(batch)


def ssim_inside(pred: Tensor, true: Tensor) -> Tensor:
    """Structural similarity where the whole window lies inside the picture, in float64.

    The same window as `ssim`, 11×11 Gaussian with σ = 1.5, and the mean over the pixels at least 5 from the
    border. That is `skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1)` and torchmetrics' default, which Consistent4D's script uses.

    Args:
        pred: [..., H, W, 3], H and W at least 11; values outside [0, 1] count as the nearest colour.
        true: as `pred`.

    Returns:
        [...] in [-1, 1]; not a number for smaller pictures.
    """
    *batch, height, width, channels = pred.shape
    a, b = (x.double().movedim(-1, -3).reshape(-1, 1, height, width) for x in (pred.clamp(0, 1), true))
    if min(height, width) < losses.WINDOW:
        return pred.new_full(batch, torch.nan)
    down, across = (_window_means(length, a) for length in (height, width))

    def mean(x: Tensor) -> Tensor:
        return down @ x @ across.T

    mean_a, mean_b = mean(a), mean(b)
    energy, product = mean(a * a + b * b) - mean_a**2 - mean_b**2, mean(a * b) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + losses.C1) * (2 * product + losses.C2)
    similarity = similarity / ((mean_a**2 + mean_b**2 + losses.C1) * (energy + losses.C2))
    return similarity.reshape(*batch, channels, -1).mean(dim=(-2, -1)).to(pred.dtype)


def _window_means(length: int, like: Tensor) -> Tensor:
    """The matrix [length - 10, length] of the weighted means over all windows that lie inside a line.

    The window is separable, and two products with a band are faster than a convolution in float64.
    """
    steps = torch.arange(length, dtype=like.dtype, device=like.device)
    starts = steps[: length - losses.WINDOW + 1, None]
    offsets = steps - starts - losses.WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * losses.SIGMA**2)) * (offsets.abs() <= losses.WINDOW // 2)
    return weights / weights.sum(dim=-1, keepdim=True)


def mse(pred: Tensor, true: Tensor) -> Tensor:
    """Mean squared error of [..., H, W, 3] in [0, 1], as [...]; smaller is better."""
    return (pred.clamp(0, 1) - true).square().mean(dim=(-3, -2, -1))


def drift(pred: Tensor, true: Tensor) -> Tensor:
    """Slope of PSNR over the frames of one view: whether quality is lost from frame to frame.

    Args:
        pred: [F, H, W, 3], consecutive frames of one view, F ≥ 2.
        true: as `pred`.

    Returns:
        A scalar in dB per frame, by least squares; below 0 the later frames are worse. Not finite where
        F < 2.
    """
    values = psnr(pred, true)
    frames = torch.arange(len(values), dtype=values.dtype, device=values.device)
    centred = frames - frames.mean()
    return (centred * values).sum() / centred.square().sum()


def silhouette_iou(alpha_pred: Tensor, alpha_true: Tensor) -> Tensor:
    """Intersection over union of the silhouettes, which are the pixels with alpha above 0.5.

    Args:
        alpha_pred: [..., H, W].
        alpha_true: as `alpha_pred`.

    Returns:
        [...] in [0, 1]; larger is better. Two empty pictures agree: 1.
    """
    a, b = alpha_pred > 0.5, alpha_true > 0.5
    union = (a | b).sum(dim=(-2, -1))
    return torch.where(union > 0, (a & b).sum(dim=(-2, -1)) / union.clamp(min=1), 1.0)


def roughness(pred: Tensor, true: Tensor) -> Tensor:
    """Total variation of `pred` over that of `true`: what shatters a surface and PSNR does not see.

    Args:
        pred: [..., H, W, 3].
        true: as `pred`.

    Returns:
        A scalar ≥ 0: 1 is as smooth as the truth, above 1.1 shattered, below 0.8 mushy. Not finite
        where the truth is one flat colour.
    """
    return _total_variation(pred) / _total_variation(true)


def fog(alpha: Tensor) -> Tensor:
    """Share of the covered pixels (alpha above 0.1) that are see-through (alpha below 0.9).

    Args:
        alpha: [..., H, W].

    Returns:
        A scalar in [0, 1]; smaller is better, though the soft edge of a real silhouette has some
        too (5 to 10 %). Not a number where nothing is covered.
    """
    covered = alpha > COVERED
    return (covered & (alpha < OPAQUE)).sum() / covered.sum()


def seam(alpha_pred: Tensor, alpha_true: Tensor) -> Tensor:
    """How much of the object shows through narrow upright gaps, as between a front and a back sheet.

    A gap is what a grey closing along the rows fills: it has something as solid on its left and on
    its right, at most 1/32 of the picture apart. Only what the truth covers counts, so that the air
    between two legs is no seam.

    Args:
        alpha_pred: [..., H, W].
        alpha_true: as `alpha_pred`.

    Returns:
        A scalar in [0, 1]: alpha missing in gaps over the alpha of the closed silhouette; smaller is
        better. Not a number where nothing is covered.
    """
    rows = alpha_pred.reshape(-1, 1, alpha_pred.shape[-1])
    reach = max(1, round(rows.shape[-1] * _SEAM_WIDTH / 2))
    widened = F.max_pool1d(rows, 2 * reach + 1, stride=1, padding=reach)
    closed = -F.max_pool1d(-widened, 2 * reach + 1, stride=1, padding=reach)
    missing = (torch.minimum(closed, alpha_true.reshape(rows.shape)) - rows).clamp(min=0)
    return missing.sum() / closed.sum()


def flicker(pred: Tensor, true: Tensor) -> Tensor:
    """Mean absolute second difference over time of `pred` over that of `true`.

    Args:
        pred: [F, H, W, 3], consecutive frames of one view, F ≥ 3.
        true: as `pred`.

    Returns:
        A scalar ≥ 0: 1 is as lively as the truth, more flickers, less is sluggish. Not finite where
        the truth moves evenly or F < 3.
    """
    return _unevenness(pred) / _unevenness(true)


def motion_psnr(pred: Tensor, true: Tensor) -> Tensor:
    """PSNR of the differences between consecutive frames: how alike two views move.

    What stands still and is wrong in itself costs nothing here.

    Args:
        pred: [F, H, W, 3], consecutive frames of one view; values outside [0, 1] count as the nearest
            colour that can be shown.
        true: as `pred`.

    Returns:
        [F - 1] in dB, at most 100; larger is better. Empty where F < 2.
    """
    error = (pred.clamp(0, 1).diff(dim=0) - true.diff(dim=0)).square().mean(dim=(-3, -2, -1))
    return -10 * torch.log10(error.clamp(min=1e-10))


def _total_variation(images: Tensor) -> Tensor:
    return images.diff(dim=-2).abs().sum() + images.diff(dim=-3).abs().sum()


def _unevenness(frames: Tensor) -> Tensor:
    return frames.diff(n=2, dim=0).abs().sum()
