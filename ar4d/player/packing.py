"""Gaussians in the buffer layout of viser's WebGL renderer."""

from __future__ import annotations

import numpy as np
import torch

from ar4d.gaussians import Gaussians, rotation_matrices

WORLD_SCALE = 32.0
"""Scale of the buffer relative to the world; the scene's node is scaled down by the same factor.

Covariances are sent as 16-bit floats, whose smallest normal value is 6e-5. A Gaussian of 0.005 world units
would lose precision without this scale."""

_ROWS, _COLUMNS = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]  # of a covariance's upper triangle


@torch.no_grad()
def pack(gaussians: Gaussians) -> bytes:
    """Packs Gaussians into 32 bytes each, little-endian.

    Layout: centre 3 × float32, four bytes for the renderer, upper triangle of the covariance 6 × float16,
    RGBA 4 × uint8. Gaussians that are not finite are left out, because they would break the depth sort.
    """
    g = gaussians.to("cpu")
    axes = rotation_matrices(g.quats) * (g.scales * WORLD_SCALE)[:, None, :]  # [N, 3, 3]
    covariances = (axes[:, _ROWS] * axes[:, _COLUMNS]).sum(-1).clamp(-65504, 65504)  # [N, 6]
    rgba = torch.cat([g.colors, g.opacities[:, None]], dim=1)  # [N, 4]
    values = torch.cat([g.means * WORLD_SCALE, covariances, rgba], dim=1)  # [N, 13]
    values = values[values.isfinite().all(1)].numpy()

    buffer = np.zeros((len(values), 8), np.uint32)
    buffer[:, 0:3] = values[:, 0:3].astype(np.float32).view(np.uint32)
    buffer[:, 4:7] = values[:, 3:9].astype(np.float16).view(np.uint32)
    buffer[:, 7:8] = np.round(values[:, 9:13].clip(0, 1) * 255).astype(np.uint8).view(np.uint32)
    return buffer.tobytes()
