"""Farthest-point sampling: points that are spread evenly, each as far as possible from those before it."""

from __future__ import annotations

import numpy as np

from ar4d.kernels.jit import kernel


@kernel
def farthest_points(points, chosen):
    """Fills chosen [C] with indices into points [N, 3], C ≤ N, beginning with 0."""
    size = points.shape[0]
    distance = np.full(size, np.inf, np.float32)
    current = 0
    for i in range(chosen.shape[0]):
        chosen[i] = current
        x, y, z = points[current, 0], points[current, 1], points[current, 2]
        best, farthest = np.float32(-1), 0
        for j in range(size):
            dx, dy, dz = points[j, 0] - x, points[j, 1] - y, points[j, 2] - z
            d = min(distance[j], dx * dx + dy * dy + dz * dz)
            distance[j] = d
            if d > best:
                best, farthest = d, j
        current = farthest
