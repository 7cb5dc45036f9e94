"""Turns objects and places them before the orbit's cameras, one scale and one offset for a whole clip."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from ar4d.cameras import RADIUS, intrinsics, orbit
from ar4d.scenes.mesh import Clip

FILL = 0.8
"""Share of the clip's own picture that the object's longer side takes, over all frames together."""
MARGIN = 0.01
"""What has to stay free at each border of every picture around the object, as a share of its width."""
GRID = 2.0**-20
"""Coordinates are multiples of this, so that rounding errors of other machines' libraries vanish."""
_AROUND_DEG = tuple(range(0, 360, 15))


@dataclass(frozen=True)
class Placing:
    """Where a turned object x went: to scale · (x - centre)."""

    scale: float
    centre: tuple[float, float, float]
    extent: float
    """Share of the clip's own picture that the longer side takes."""

    @property
    def shrunk(self) -> bool:
        """Whether the object would not have fitted into all pictures at FILL."""
        return self.extent < FILL - 0.01


def turned(clip: Clip, yaw_deg: float) -> Clip:
    """Turn a clip about the y axis; a positive yaw turns +z towards +x, the picture's right."""
    c, s = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
    return clip.moved(np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), np.zeros(3))


def placed(clip: Clip, elevation_deg: float, elevations_deg: tuple[float, ...]) -> tuple[Clip, Placing]:
    """Place a clip before a camera at azimuth 0.

    The box around all frames lies in the middle of that camera's picture, and its longer side takes FILL, or
    less where the object would leave another picture.

    Args:
        clip: already turned, in any units.
        elevation_deg: of the clip's own camera.
        elevations_deg: of all cameras around the object.
    """
    points = np.concatenate([p for k in range(clip.frames) for p in clip.points(k)]).astype(np.float64)
    points = points[ConvexHull(points).vertices]
    low, high = points.min(0), points.max(0)
    scale, centre = 0.9 * FILL * RADIUS / _focal() / (high - low).max(), (low + high) / 2
    for _ in range(16):
        centre = _recentred(points, scale, centre, elevation_deg)
        box = _box(scale * (points - centre), 0, elevation_deg)
        scale *= (FILL / (box[1] - box[0]).max()) ** 0.8
    cameras = [(a, e) for a in _AROUND_DEG for e in elevations_deg]
    while not all(_fits(scale * (points - centre), *camera) for camera in cameras):
        scale *= 0.98
        for _ in range(3):
            centre = _recentred(points, scale, centre, elevation_deg)
    scale = float(f"{scale:.5g}")
    centre = np.round(centre * scale, 5) / scale
    box = _box(scale * (points - centre), 0, elevation_deg)
    where = (float(centre[0]), float(centre[1]), float(centre[2]))
    moved = clip.moved(np.eye(3) * scale, -scale * centre)
    parts = tuple(
        replace(part, vertices=np.round(part.vertices / np.float32(GRID)) * np.float32(GRID))
        for part in moved.parts
    )
    return Clip(parts), Placing(scale, where, round(float((box[1] - box[0]).max()), 4))


def _focal() -> float:
    return float(intrinsics(1)[0, 0])


def _recentred(
    points: NDArray[np.float64], scale: float, centre: NDArray[np.float64], elevation_deg: float
) -> NDArray[np.float64]:
    """The centre [3] moved so that the object's box comes nearer to the middle of the clip's own picture."""
    box = _box(scale * (points - centre), 0, elevation_deg)
    axes = orbit(0, elevation_deg, size=1).viewmats[0, :2, :3].double().numpy()
    return centre + axes.T @ (box[0] + box[1]) / 2 * RADIUS / (_focal() * scale)


def _box(points: NDArray[np.float64], azimuth_deg: float, elevation_deg: float) -> NDArray[np.float64]:
    """The box [2, 2] of points in a picture of width 1 with its middle at 0."""
    viewmat = orbit(azimuth_deg, elevation_deg, size=1).viewmats[0].double().numpy()
    seen = points @ viewmat[:3, :3].T + viewmat[:3, 3]
    flat = _focal() * seen[:, :2] / np.maximum(seen[:, 2:], 0.2)
    return np.stack([flat.min(0), flat.max(0)])


def _fits(points: NDArray[np.float64], azimuth_deg: float, elevation_deg: float) -> bool:
    """Whether points lie in a picture, with a margin, and not too near the camera."""
    box = _box(points, azimuth_deg, elevation_deg)
    inside = float(np.abs(points).max()) <= 1 and float(np.square(points).sum(1).max()) < (0.9 * RADIUS) ** 2
    return inside and float(np.abs(box).max()) <= 0.5 - MARGIN
