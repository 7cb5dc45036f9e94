"""Puts an object before the cameras of the orbit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ar4d.cameras import RADIUS, intrinsics

FILLED = (0.62, 0.88)  # share of the picture that an object's longest side takes


def frame_object(points: NDArray[Any], filled: float) -> tuple[float, NDArray[np.float64]]:
    """Scale and centre that let the longest side in the view from +z take `filled` of the picture.

    Made smaller where the object would leave the picture of another camera on the orbit.
    """
    focal, radius = float(intrinsics(1)[0, 0]), RADIUS
    low, high = points.min(0), points.max(0)
    centre = (low + high) / 2
    scale = 0.9 * filled * radius / focal / float((high - low)[:2].max())
    for _ in range(12):
        placed = scale * (points - centre)
        image = focal * placed[:, :2] / (radius - placed[:, 2:])
        low2, high2 = image.min(0), image.max(0)
        centre[:2] += (low2 + high2) / 2 * radius / (focal * scale)
        scale *= (filled / float((high2 - low2).max())) ** 0.8
    centred = points - centre
    reach = np.hypot(centred[:, 0], centred[:, 2])
    for _ in range(40):  # the farthest any camera on the orbit sees a point from the middle
        away = np.maximum(scale * np.hypot(reach, 0), 1e-6)
        aside = focal * away / np.sqrt(np.maximum(radius**2 - away**2, 1e-3))
        up = focal * scale * np.abs(centred[:, 1]) / np.maximum(radius - away, 1e-3)
        if away.max() < 0.9 * radius and max(aside.max(), up.max()) < 0.49:
            break
        scale *= 0.97
    return scale, centre
