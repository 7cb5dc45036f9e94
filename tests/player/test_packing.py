"""Gaussians in the layout of viser's renderer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import viser
from scipy.spatial.transform import Rotation

from ar4d.gaussians import Gaussians
from ar4d.player.packing import WORLD_SCALE, pack
from tests.support.browser import fish


def unpacked(buffer: bytes) -> dict[str, np.ndarray]:
    words = np.frombuffer(buffer, np.uint32).reshape(-1, 8)
    return {
        "means": words[:, :3].copy().view(np.float32),
        "covariances": words[:, 4:7].copy().view(np.float16),
        "rgba": words[:, 7:].copy().view(np.uint8),
    }


def test_packs_what_the_gaussians_are():
    g = fish(0.3, 40)
    got = unpacked(pack(g))
    R = Rotation.from_quat(np.roll(g.quats.double().numpy(), -1, axis=1)).as_matrix()
    S = g.scales.double().numpy()
    covariances = np.einsum("nij,nj,nkj->nik", R, S**2, R) * WORLD_SCALE**2
    upper = covariances[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(got["means"], g.means.numpy() * WORLD_SCALE, rtol=1e-6)
    np.testing.assert_allclose(got["covariances"], upper, rtol=2e-3, atol=1e-4)
    rgba = np.concatenate([g.colors.numpy(), g.opacities.numpy()[:, None]], 1)
    assert np.abs(got["rgba"] / 255 - rgba).max() <= 0.5 / 255 + 1e-6


def test_packs_in_visers_own_layout():
    """viser's packing of the same numbers differs by rounding colours only."""
    g = fish(0.6, 20)
    mine = np.frombuffer(pack(g), np.uint32).reshape(-1, 8)
    R = Rotation.from_quat(np.roll(g.quats.numpy(), -1, axis=1)).as_matrix()
    covariances = R @ (g.scales.numpy()[:, :, None] ** 2 * R.transpose(0, 2, 1)) * WORLD_SCALE**2
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    try:
        handle = server.scene.add_gaussian_splats(
            "/x", g.means.numpy() * WORLD_SCALE, covariances, g.colors.numpy(), g.opacities.numpy()[:, None]
        )
        theirs = handle.buffer
    finally:
        server.stop()
    np.testing.assert_array_equal(mine[:, :4], theirs[:, :4])
    for part, tolerance in (("covariances", 2e-3), ("rgba", 1)):
        a, b = unpacked(mine.tobytes())[part], unpacked(theirs.tobytes())[part]
        assert np.abs(a.astype(float) - b.astype(float)).max() <= tolerance


@pytest.mark.parametrize("size", [0.0005, 0.02, 0.5])
def test_small_gaussians_survive_16_bits(size):
    g = fish(0.0, 10)
    g = Gaussians(g.means, g.quats, torch.full((10, 3), size), g.opacities, g.colors)
    variances = unpacked(pack(g))["covariances"][:, [0, 3, 5]].astype(float)
    np.testing.assert_allclose(np.sqrt(variances) / WORLD_SCALE, size, rtol=2e-3)


def test_leaves_out_what_is_not_finite():
    g = fish(0.0, 5)
    g.means[1, 0], g.scales[2] = math.nan, math.inf
    np.testing.assert_allclose(unpacked(pack(g))["means"], g.means[[0, 3, 4]].numpy() * WORLD_SCALE)
