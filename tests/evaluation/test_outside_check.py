"""The metrics against the packages that the field measures with, in float64."""

import numpy as np
import pytest
import torch
from scipy import linalg
from scipy.spatial import KDTree, distance
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ar4d.evaluation import geometry, metrics
from ar4d.evaluation.frechet import frechet_distance, one_clip_distance


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    coarse = rng.random((3, 6, 7, 3))
    true = np.kron(coarse, np.ones((1, 8, 8, 1)))  # [3, 48, 56, 3]
    return np.clip(true + 0.1 * rng.standard_normal(true.shape), 0, 1), true


def test_psnr_is_that_of_scikit_image(pictures):
    pred, true = pictures
    expected = [peak_signal_noise_ratio(t, p, data_range=1) for p, t in zip(pred, true, strict=True)]
    found = metrics.psnr(torch.tensor(pred), torch.tensor(true))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_ssim_inside_is_that_of_scikit_image(pictures):
    pred, true = pictures
    expected = [
        structural_similarity(
            t, p, channel_axis=-1, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for p, t in zip(pred, true, strict=True)
    ]
    found = metrics.ssim_inside(torch.tensor(pred), torch.tensor(true))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_ssim_differs_from_ssim_inside_by_the_border_alone(pictures):
    pred, true = (torch.tensor(x[0], dtype=torch.float32) for x in pictures)
    blank = torch.ones(80, 88, 3)
    far_pred, far_true = blank.clone(), blank.clone()
    far_pred[16:64, 16:72], far_true[16:64, 16:72] = pred, true
    # White borders agree perfectly; weighted by area, both borders then give nearly the same.
    assert metrics.ssim(pred, true) != metrics.ssim_inside(pred, true)
    inside, whole = metrics.ssim_inside(far_pred, far_true), metrics.ssim(far_pred, far_true)
    assert 1 - whole.item() == pytest.approx((1 - inside.item()) * 70 * 78 / (80 * 88), abs=1e-4)


def scipy_frechet(a: np.ndarray, b: np.ndarray) -> float:
    root = linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False))
    trace = np.trace(np.cov(a, rowvar=False)) + np.trace(np.cov(b, rowvar=False)) - 2 * np.trace(root).real
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + trace


@pytest.mark.parametrize(("n", "m", "dimensions"), [(40, 50, 6), (200, 80, 20)])
def test_frechet_distance_is_that_of_scipy(n, m, dimensions):
    rng = np.random.default_rng(1)
    mixing = rng.standard_normal((dimensions, dimensions))
    a = rng.standard_normal((n, dimensions)) @ mixing + 0.3
    b = 1.5 * rng.standard_normal((m, dimensions))
    found = frechet_distance(torch.tensor(a), torch.tensor(b))
    assert found == pytest.approx(scipy_frechet(a, b), abs=1e-6)


def test_frechet_distance_of_commuting_covariances_is_the_closed_form():
    """Diagonal covariances: ‖Δμ‖² + Σ (σ_a - σ_b)², also with fewer vectors than dimensions."""
    corners = torch.cat([torch.eye(5), -torch.eye(5)]).double()
    scales_a, scales_b = torch.tensor([1.0, 2, 3, 4, 5]).double(), torch.tensor([2.0, 2, 1, 0, 7]).double()
    expected = 5 * 0.5**2 + (2 / 9) * (scales_a - scales_b).square().sum().item()
    assert frechet_distance(corners * scales_a, corners * scales_b + 0.5) == pytest.approx(expected, abs=1e-9)
    few = torch.tensor([[1.0, 0, 0, 0], [-1, 0, 0, 0]])
    assert frechet_distance(few, 3 * few) == pytest.approx((18**0.5 - 2**0.5) ** 2, abs=1e-9)


def test_frechet_distance_needs_two_vectors():
    assert np.isnan(frechet_distance(torch.zeros(1, 4), torch.zeros(3, 4)))


def test_one_clip_distance_is_the_frechet_distance_of_the_script():
    """One row as one variable observed D times, as `numpy.cov` read it before version 2.2."""
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal(400), 2 * rng.standard_normal(400) + 0.1
    variances = [np.atleast_2d(np.cov(x)) for x in (a, b)]
    root = linalg.sqrtm(variances[0] @ variances[1])
    expected = ((a - b) ** 2).sum() + np.trace(variances[0] + variances[1] - 2 * root)
    assert one_clip_distance(torch.tensor(a), torch.tensor(b)) == pytest.approx(expected, abs=1e-6)


@pytest.fixture
def surfaces() -> tuple[torch.Tensor, torch.Tensor]:
    """Two tracked point sets [T, N, 3] of different sizes."""
    rng = np.random.default_rng(3)
    return torch.tensor(rng.standard_normal((3, 70, 3))), torch.tensor(rng.standard_normal((3, 90, 3)))


def test_chamfer_is_that_of_a_tree_and_of_all_pairs(surfaces):
    a, b = (x[0].numpy() for x in surfaces)
    tree = KDTree(b).query(a)[0].mean() + KDTree(a).query(b)[0].mean()
    pairs = distance.cdist(a, b)
    expected = pairs.min(1).mean() + pairs.min(0).mean()
    found = geometry.chamfer(torch.tensor(a), torch.tensor(b))
    assert found == pytest.approx(expected, abs=1e-6)
    assert found == pytest.approx(tree, abs=1e-6)


def test_motion_chamfer_follows_the_matches_of_the_first_time(surfaces):
    found, truth = (x.numpy() for x in surfaces)
    pairs = distance.cdist(found[0], truth[0])
    there = np.linalg.norm(found - truth[:, pairs.argmin(1)], axis=-1).mean()
    back = np.linalg.norm(truth - found[:, pairs.argmin(0)], axis=-1).mean()
    measured = geometry.motion_chamfer(*surfaces, aligned=True)
    assert measured == pytest.approx(there + back, abs=1e-6)


def test_f_score_by_hand():
    truth = torch.tensor([[0.0, 0, 0], [1, 0, 0]])
    found = torch.tensor([[0.0, 0, 0], [1.01, 0, 0], [3, 0, 0]])
    assert geometry.f_score(found, truth) == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    assert geometry.f_score(found[2:], truth) == 0
