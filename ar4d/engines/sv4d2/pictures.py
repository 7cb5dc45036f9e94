"""What the Gaussians are fitted to: the clip, and the same clip from other sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ar4d.cameras import FOV_Y_DEG, Cameras, orbit, same_size_radius
from ar4d.images import on_white
from ar4d.views import ViewGrid

QUARTER_DEG = 90.0


@dataclass(frozen=True, eq=False)
class Pictures:
    """F frames of a clip and of V generated views, on white, at the sizes at which they are fitted."""

    clip_rgb: Tensor  # [F, S, S, 3]
    clip_alpha: Tensor  # [F, S, S]
    view_rgb: Tensor  # [V, F, s, s, 3]
    view_alpha: Tensor  # [V, F, s, s]
    trust: Tensor  # [V, F] in [0, 1]; 0: left out
    azimuths_deg: tuple[float, ...]  # V
    elevations_deg: tuple[float, ...]  # V
    elevation_deg: float  # of the clip's camera
    view_fov_deg: float = FOV_Y_DEG  # of the generated views' cameras

    @staticmethod
    def of(
        clip: Tensor, grid: ViewGrid, view_size: int, elevation_deg: float, view_fov_deg: float = FOV_Y_DEG
    ) -> Pictures:
        """
        Args:
            clip: [F, S, S, 4] straight alpha in [0, 1].
            grid: row 0 is the clip and is not used again; views at other elevations keep theirs.
            view_size: s.
        """
        generated = range(1, grid.num_views)
        rows = [
            torch.stack([grid.at(v, f, view_size) for f in range(grid.num_frames)]).to(clip)
            for v in generated
        ]
        views = torch.stack(rows) if rows else clip.new_zeros(0, len(clip), view_size, view_size, 4)
        return Pictures(
            clip_rgb=on_white(clip),
            clip_alpha=clip[..., 3],
            view_rgb=on_white(views),
            view_alpha=views[..., 3],
            trust=grid.trust[1:].to(clip.device),
            azimuths_deg=tuple(float(grid.azimuths_deg[v]) for v in generated),
            elevations_deg=tuple(float(grid.elevations_deg[v]) for v in generated),
            elevation_deg=elevation_deg,
            view_fov_deg=view_fov_deg,
        )

    @property
    def num_frames(self) -> int:
        return len(self.clip_rgb)

    @property
    def num_views(self) -> int:
        """V, without the clip."""
        return len(self.azimuths_deg)

    def clip_camera(self) -> Cameras:
        """The clip's own camera, at S pixels."""
        return orbit(0.0, self.elevation_deg, size=self.clip_rgb.shape[1])

    def view_cameras(self, rows: Sequence[int], size: int | None = None) -> Cameras:
        """The cameras of generated views, at s pixels or another size."""
        size = self.view_rgb.shape[2] if size is None else size
        fov, radius = self.view_fov_deg, same_size_radius(self.view_fov_deg)
        each = [
            orbit(self.azimuths_deg[v], self.elevations_deg[v], size=size, radius=radius, fov_y_deg=fov)
            for v in rows
        ]
        viewmats, Ks = (torch.cat([getattr(c, name) for c in each]) for name in ("viewmats", "Ks"))
        return Cameras(viewmats, Ks, size, size)

    def without(self, row: int) -> Pictures:
        """The same pictures with one generated view left out."""
        trust = self.trust.clone()
        trust[row] = 0.0
        return replace(self, trust=trust)

    def with_view_fov(self, fov_y_deg: float) -> Pictures:
        """The same pictures, the generated ones taken with another field of view."""
        return replace(self, view_fov_deg=fov_y_deg)

    def orthogonal_rows(self, row: int, frame: int) -> list[int]:
        """A generated view and those nearest to a quarter, half and three quarters of a turn from it.

        A place that the clip's own azimuth is nearest to is left to the clip, which every step sees.
        """
        usable = [v for v in range(self.num_views) if self.trust[v, frame] > 0]
        azimuths = {None: 0.0, **{v: self.azimuths_deg[v] for v in usable}}
        chosen = [row]
        for turn in (1, 2, 3):
            wanted = self.azimuths_deg[row] + turn * QUARTER_DEG
            best = min(azimuths, key=lambda v: _apart_deg(azimuths[v], wanted))
            if best is not None and best not in chosen:
                chosen.append(best)
        return chosen


def _apart_deg(a: float, b: float) -> float:
    return abs((a - b + 180) % 360 - 180)
