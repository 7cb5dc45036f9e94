"""Fréchet distances between Gaussians fitted to features, in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The squared Fréchet distance of two sets of feature vectors, as FID and FVD define it.

    d² = ‖μ_a - μ_b‖² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½), with unbiased covariances (divided by n - 1).

    The root needs no covariance matrix: with A the centred features over √(n - 1), Σ_a = AᵀA, and the
    trace of the root is the sum of the singular values of A Bᵀ. That is exact for singular covariances,
    which all sets with fewer vectors than dimensions have.

    Args:
        a: [N, D], N ≥ 2.
        b: [M, D], M ≥ 2.

    Returns:
        A number ≥ 0; not a number where a set has fewer than two vectors.
    """
    if len(a) < 2 or len(b) < 2:
        return math.nan
    a, b = a.double(), b.double()
    root_a = (a - a.mean(0)) / math.sqrt(len(a) - 1)
    root_b = (b - b.mean(0)) / math.sqrt(len(b) - 1)
    means = (a.mean(0) - b.mean(0)).square().sum()
    cross = torch.linalg.svdvals(root_a @ root_b.T).sum()
    return max(0.0, float(means + root_a.square().sum() + root_b.square().sum() - 2 * cross))


def one_clip_distance(a: Tensor, b: Tensor) -> float:
    """What Consistent4D's script computes for one clip per view: ‖f_a - f_b‖² + (σ_a - σ_b)².

    A single clip has no covariance. The script calls `numpy.cov(features, rowvar=False)` with one row, which
    NumPy before 2.2 read as one variable observed D times: the covariance becomes the variance σ² over the
    components of the feature vector f, and the Fréchet distance that closed form. Newer versions of NumPy
    give no number. It is not FVD and must not be compared with it.

    Args:
        a: [D] features of a clip, D ≥ 2.
        b: as `a`.
    """
    a, b = a.double(), b.double()
    return float((a - b).square().sum() + (a.std() - b.std()).square())
