"""Every metric against a plain float64 computation or a case worked out by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from ar4d.evaluation import metrics


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A picture of soft shapes and a noisy copy, [2, 3, H, W, 3]."""
    rng = np.random.default_rng(0)
    true = ndimage.gaussian_filter(rng.random((2, 3, 40, 52, 3)), (0, 0, 3, 3, 0))
    true = (true - true.min()) / np.ptp(true)
    pred = np.clip(true + 0.1 * rng.standard_normal(true.shape), 0, 1)
    return torch.tensor(pred, dtype=torch.float32), torch.tensor(true, dtype=torch.float32)


def plain_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004 for one picture [H, W, 3], separable window of radius 5, zeros outside."""

    def blur(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, (1.5, 1.5, 0), mode="constant", radius=(5, 5, 0))

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, cov = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * (2 * cov + c2) / (var_a + var_b + c2)).mean()


def test_psnr(pair):
    pred, true = (x.double().numpy() for x in pair)
    expected = 10 * np.log10(1 / ((pred - true) ** 2).mean((-3, -2, -1)))
    np.testing.assert_allclose(metrics.psnr(*pair).numpy(), expected, rtol=1e-5)


def test_psnr_by_hand():
    black, grey = torch.zeros(4, 5, 3), torch.full((4, 5, 3), 0.1)
    assert metrics.psnr(grey, black).item() == pytest.approx(20, abs=1e-4)
    assert metrics.psnr(black, black).item() == 100
    assert metrics.psnr(black - 3, black).item() == 100  # nobody sees darker than black


def test_ssim(pair):
    pred, true = (x.double().numpy() for x in pair)
    expected = [[plain_ssim(pred[i, k], true[i, k]) for k in range(3)] for i in range(2)]
    np.testing.assert_allclose(metrics.ssim(*pair).numpy(), expected, atol=1e-5)


def test_ssim_of_the_same_picture_is_one(pair):
    assert metrics.ssim(pair[1], pair[1]).min().item() == pytest.approx(1, abs=1e-5)


def test_silhouette_iou():
    a, b = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    a[0, :, :2], b[0, :, 1:3] = 0.9, 0.51  # columns 0, 1 against 1, 2: one of three is shared
    a[1, 0, 0], b[1, 0, 0] = 0.5, 1.0  # 0.5 is not yet inside
    torch.testing.assert_close(metrics.silhouette_iou(a, b), torch.tensor([1 / 3, 0.0, 1.0]))


def test_roughness(pair):
    def variation(x: np.ndarray) -> float:
        return np.abs(np.diff(x, axis=-2)).sum() + np.abs(np.diff(x, axis=-3)).sum()

    pred, true = (x.double().numpy() for x in pair)
    assert metrics.roughness(*pair).item() == pytest.approx(variation(pred) / variation(true), rel=1e-5)


def test_roughness_tells_shattered_from_mushy(pair):
    pred, true = pair
    blurred = torch.tensor(ndimage.gaussian_filter(true.numpy(), (0, 0, 3, 3, 0)))
    assert metrics.roughness(blurred, true) < 0.8 < 1.1 < metrics.roughness(pred, true)
    assert metrics.roughness(true, true) == 1
    assert not math.isfinite(metrics.roughness(true, torch.ones_like(true)))


def test_fog():
    alpha = torch.tensor([[0.0, 0.05, 0.2, 0.5], [0.89, 0.95, 1.0, 1.0]])  # 6 are covered, 3 of them foggy
    assert metrics.fog(alpha).item() == pytest.approx(0.5)
    assert metrics.fog(alpha.expand(5, 2, 4)).item() == pytest.approx(0.5)
    assert math.isnan(metrics.fog(torch.zeros(3, 3)))


def test_seam_by_hand():
    true = torch.zeros(1, 64, 64)
    true[:, 10:50, 16:48] = 1  # 40 rows of 32 pixels
    pred = true.clone()
    assert metrics.seam(pred, true) == 0
    pred[:, 10:50, 31:33] = 0.25  # a gap of 2 pixels = 1/32 of the width
    assert metrics.seam(pred, true).item() == pytest.approx(2 * 0.75 / 32)
    pred[:, 10:50, 28:36] = 0  # wider: a hole, not a seam
    assert metrics.seam(pred, true) == 0


def test_seam_ignores_gaps_that_the_truth_has_too():
    legs = torch.ones(1, 64, 64)
    legs[:, 20:, 31:33] = 0
    assert metrics.seam(legs, legs) == 0
    assert metrics.seam(legs, torch.ones(1, 64, 64)).item() == pytest.approx(44 * 2 / 64**2)


def test_seam_agrees_with_a_grey_closing():
    rng = np.random.default_rng(2)
    pred, true = ndimage.gaussian_filter(rng.random((2, 3, 50, 128)), (0, 0, 1, 1))
    closed = ndimage.grey_dilation(pred, size=(1, 1, 5), mode="constant", cval=-np.inf)
    closed = ndimage.grey_erosion(closed, size=(1, 1, 5), mode="constant", cval=np.inf)
    expected = np.maximum(np.minimum(closed, true) - pred, 0).sum() / closed.sum()
    assert metrics.seam(torch.tensor(pred), torch.tensor(true)).item() == pytest.approx(expected)


def test_flicker():
    rng = np.random.default_rng(3)
    pred, true = rng.random((2, 6, 8, 9, 3))

    def unevenness(x: np.ndarray) -> float:
        return np.abs(x[2:] - 2 * x[1:-1] + x[:-2]).mean()

    measured = metrics.flicker(torch.tensor(pred), torch.tensor(true)).item()
    assert measured == pytest.approx(unevenness(pred) / unevenness(true))


def test_flicker_needs_three_frames():
    frames = torch.rand(2, 8, 8, 3)
    assert math.isnan(metrics.flicker(frames, frames))


def test_motion_psnr_compares_differences_only(pair):
    pred, true = pair[0][0], pair[1][0]
    a, b = pred.double().numpy(), true.double().numpy()
    expected = [-10 * math.log10(((a[k + 1] - a[k] - b[k + 1] + b[k]) ** 2).mean()) for k in range(2)]
    assert metrics.motion_psnr(pred, true).tolist() == pytest.approx(expected, abs=1e-3)
    assert (metrics.motion_psnr((true / 2 + 0.3), true / 2) == 100).all()
    assert len(metrics.motion_psnr(pred[:1], true[:1])) == 0
