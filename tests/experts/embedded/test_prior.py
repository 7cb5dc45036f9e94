"""Relief and the share of the inflated silhouette that are added to the network's prediction."""

import numpy as np
import torch

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.embedded.network import OCCUPANCY_OFFSETS, Prediction
from ar4d.experts.embedded.prior import regularize_with_silhouette
from ar4d.experts.silhouette import half_thickness

SIZE = 32


def disc() -> torch.Tensor:
    """[SIZE, SIZE] alpha with a soft rim."""
    ys, xs = torch.meshgrid(torch.arange(SIZE) - 15.0, torch.arange(SIZE) - 17.0, indexing="ij")
    return (10.5 - torch.hypot(xs, ys)).clamp(0, 1)


def guesses(count: int = 2) -> Prediction:
    generator = torch.Generator().manual_seed(0)
    return Prediction(
        front_depth=RADIUS + 0.2 * torch.randn(count, SIZE, SIZE, generator=generator),
        occupancy_logits=2 * torch.randn(count, len(OCCUPANCY_OFFSETS), SIZE, SIZE, generator=generator),
        colors=torch.rand(count, 5, 3, SIZE, SIZE, generator=generator),
    )


def test_matches_a_double_precision_version():
    alpha, guess = disc(), guesses()
    given = alpha.double().numpy()
    cell = RADIUS / float(intrinsics(SIZE)[0, 0])
    half = np.minimum(half_thickness(given > 0.5, 2.5) * cell, 0.35)
    fronts, solids = [], []
    for front, solid in zip(
        guess.front_depth.double().numpy(), guess.occupancy_logits.double().numpy(), strict=True
    ):
        middle = np.average(front, weights=given)
        fronts.append(0.85 * (middle + 1.2 * (front - middle)) + 0.15 * (RADIUS - half))
        silhouette = [np.clip((2 * half - distance) / 0.025, -4, 4) for distance in OCCUPANCY_OFFSETS]
        solids.append(0.85 * solid + 0.15 * np.stack(silhouette))
    result = regularize_with_silhouette(guess, alpha)
    np.testing.assert_allclose(result.front_depth.numpy(), np.stack(fronts), atol=1e-5)
    np.testing.assert_allclose(result.occupancy_logits.numpy(), np.stack(solids), atol=1e-4)
    assert result.colors is guess.colors


def test_relief_commutes_with_shifts_in_depth():
    alpha, guess = disc(), guesses(1)
    nearer = Prediction(guess.front_depth - 0.1, guess.occupancy_logits, guess.colors)
    moved = (
        regularize_with_silhouette(guess, alpha).front_depth
        - regularize_with_silhouette(nearer, alpha).front_depth
    )
    torch.testing.assert_close(moved, torch.full_like(moved, 0.85 * 0.1), atol=1e-5, rtol=0)
