"""Specks and fraying against a plain float64 computation and cases worked out by hand."""

import math

import numpy as np
import pytest
import torch

from ar4d.evaluation.debris import fraying, specks


def plain_specks(rgb: np.ndarray, mask: np.ndarray) -> float:
    """Block by block, in float64: only blocks that the mask covers entirely count."""
    energies = []
    for _ in range(3):
        height, width = rgb.shape[0] // 2, rgb.shape[1] // 2
        means, whole, total, count = np.zeros((height, width, 3)), np.zeros((height, width), bool), 0.0, 0
        for y in range(height):
            for x in range(width):
                block = rgb[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
                means[y, x] = block.mean((0, 1))
                whole[y, x] = mask[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].all()
                if whole[y, x]:
                    total += ((block - means[y, x]) ** 2).sum()
                    count += 4
        energies.append(total / count)
        rgb, mask = means, whole
    return energies[0] / (energies[1] + energies[2])


def disc(size: int, radius: float) -> torch.Tensor:
    y, x = torch.meshgrid(*[torch.arange(size) - size / 2 + 0.5] * 2, indexing="ij")
    return ((x**2 + y**2).sqrt() < radius).float()


def test_specks_match_the_plain_computation():
    rng = np.random.default_rng(0)
    rgb, mask = rng.random((46, 51, 3)), disc(64, 20).numpy()[9:55, 7:58] > 0.5
    measured = specks(torch.tensor(rgb), torch.tensor(mask, dtype=torch.float64))
    assert measured.item() == pytest.approx(plain_specks(rgb, mask), rel=1e-9)


def test_white_noise_has_sixteen_fifths():
    """Variances 1, 1/4, 1/16: each detail has 3/4 of its level's, so e₀ / (e₁ + e₂) = 1 / (1/4 + 1/16)."""
    noise = torch.randn(8, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    assert specks(noise, torch.ones(8, 128, 128)).item() == pytest.approx(3.2, rel=0.03)


def test_salt_on_a_smooth_object_raises_specks_and_not_outside_of_it():
    ramp = torch.linspace(0, 1, 64)[None, :, None].expand(64, 64, 3)
    mask = disc(64, 24)
    salt = (torch.rand(64, 64, 1, generator=torch.Generator().manual_seed(0)) < 0.05).float()
    smooth = specks(ramp, mask)
    inside, outside = torch.where(mask[..., None] > 0, salt, 0.0), torch.where(mask[..., None] > 0, 0.0, salt)
    assert specks((ramp + inside).clamp(0, 1), mask) > 5 * smooth
    assert specks((ramp + outside).clamp(0, 1), mask) == smooth


def test_nothing_to_judge_is_not_a_number():
    assert math.isnan(specks(torch.rand(8, 8, 3), torch.zeros(8, 8)))
    assert not math.isfinite(specks(torch.full((32, 32, 3), 0.5), torch.ones(32, 32)))
    assert not math.isfinite(fraying(torch.zeros(32, 32)))


def test_a_square_is_not_frayed_and_teeth_are_counted():
    """Teeth of 1 pixel at every fourth column of the top edge: each adds two vertical edges."""
    square = torch.zeros(128, 128)
    square[32:96, 32:96] = 1
    assert fraying(square).item() == pytest.approx(1, abs=0.02)
    teeth = square.clone()
    teeth[31, 32:96:4] = 1
    assert fraying(teeth).item() == pytest.approx((4 * 64 + 2 * 16) / (4 * 64), abs=0.02)


def test_a_slanted_edge_is_not_frayed_and_stray_specks_are():
    tilted = torch.zeros(128, 128)
    for y in range(30, 100):
        tilted[y, 20 + y // 3 : 60 + y // 3] = 1
    assert fraying(tilted).item() == pytest.approx(1, abs=0.05)
    stray = tilted.clone()
    stray[5:125:10, 120] = 1
    assert fraying(stray) > fraying(tilted) + 0.1
