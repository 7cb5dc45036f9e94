"""Experts of known quality for tests: the visual hull of four views, and a player of true views."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, orbit
from ar4d.gaussians import Gaussians
from ar4d.settings import ReferenceRig
from ar4d.views import ViewGrid
from tests.support.two_sided import RIG, pictures

EXTENT, CELLS = 0.6, 24  # half the side of the cube that is carved, world units; cells along it


class VisualHull:
    """`ViewsToGaussians` by carving: a cell stays where all four views show the object."""

    name = "visual-hull"

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        size = rgba.shape[1]
        along = (torch.arange(CELLS) + 0.5) * 2 * EXTENT / CELLS - EXTENT
        points = torch.stack(torch.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)
        cameras = orbit(ORTHOGONAL_AZIMUTHS_DEG, elevation_deg, size=size)
        seen = torch.stack(
            [
                _look_up(view, points, *camera)
                for view, *camera in zip(rgba, cameras.viewmats, cameras.Ks, strict=True)
            ]
        )  # [4, N, 4]
        inside = (seen[..., 3] > 0.5).all(0)
        nearest = torch.rad2deg(torch.atan2(points[:, 0], points[:, 2])).div(90).round().long() % 4
        colors = seen[nearest, torch.arange(len(points)), :3][inside]
        count = int(inside.sum())
        return Gaussians(
            means=points[inside],
            quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
            scales=torch.full((count, 3), 0.6 * EXTENT / CELLS),
            opacities=torch.full((count,), 0.95),
            colors=colors,
        )


def _look_up(picture: Tensor, points: Tensor, viewmat: Tensor, K: Tensor) -> Tensor:
    """[N, 4] what a picture [S, S, 4] shows at the points [N, 3]; they all lie in it."""
    there = (points @ viewmat[:3, :3].T + viewmat[:3, 3]) @ K.T
    x, y = (there[:, :2] / there[:, 2:]).floor().long().clamp(0, len(picture) - 1).unbind(-1)
    return picture[y, x]


class TrueViews:
    """`ClipToViews` that plays the true views of known frames; notes what it was given."""

    name = "true-views"

    def __init__(
        self,
        frames: Sequence[Gaussians],
        azimuths_deg: tuple[float, ...] = ORTHOGONAL_AZIMUTHS_DEG,
        rig: ReferenceRig = RIG,
    ) -> None:
        self.frames, self.azimuths_deg, self.rig = frames, azimuths_deg, rig
        self.given: list[tuple[Tensor, Tensor | None, float, int]] = []

    def imagine(self, clip: Tensor, frozen: Tensor | None, elevation_deg: float, seed: int) -> ViewGrid:
        self.given.append((clip, frozen, elevation_deg, seed))
        return self.grid()

    def grid(self) -> ViewGrid:
        rgba = torch.stack([pictures(self.frames, azimuth, self.rig) for azimuth in self.azimuths_deg])
        views, frames = rgba.shape[:2]
        elevations = torch.full((views,), self.rig.elevation_deg)
        return ViewGrid(rgba, torch.tensor(self.azimuths_deg), elevations, torch.ones(views, frames))
