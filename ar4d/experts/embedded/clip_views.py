"""The embedded expert as an artist: a clip from other sides, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, orbit
from ar4d.experts.embedded.expert import PSEUDO_BUDGET, Embedded
from ar4d.experts.protocols import Unavailable
from ar4d.gaussians import Gaussians
from ar4d.images import unpremultiply
from ar4d.rendering import render
from ar4d.reporting import OnProgress
from ar4d.views import ViewGrid

TRUST = 0.5
"""Trust in a guessed view, relative to the clip."""
EMPTY = 0.5
"""A frame whose alpha is nowhere higher shows nothing, and neither do its views."""


@dataclass(eq=False)
class EmbeddedViews:
    """`ClipToViews` and `DrawsOver`: renders of what the embedded expert makes of each frame."""

    expert: Embedded
    azimuths_deg: tuple[float, ...] = ORTHOGONAL_AZIMUTHS_DEG
    name: str = "embedded-views"
    on_progress: OnProgress | None = None

    @staticmethod
    def available(device: torch.device) -> Unavailable | None:
        """Why the expert cannot run, or None if it can."""
        return Embedded.available(device)

    @staticmethod
    def load(device: torch.device) -> EmbeddedViews:
        """Loads the expert with its bundled weights."""
        return EmbeddedViews(Embedded.load(device))

    def with_clip(self, clip: Tensor, facing_deg: float | None = None) -> EmbeddedViews:
        """See `ClipAware.with_clip`."""
        return EmbeddedViews(self.expert.with_clip(clip, facing_deg), self.azimuths_deg)

    @property
    def facing_estimate(self) -> tuple[float, float] | None:
        """See `ClipAware.facing_estimate`."""
        return self.expert.facing_estimate

    def imagine(self, clip: Tensor, frozen: Tensor | None, elevation_deg: float, seed: int) -> ViewGrid:
        """See `ClipToViews.imagine`: each frame by itself, without chance."""
        return self._drawn(
            clip, elevation_deg, lambda k: self.expert.lift(clip[k], PSEUDO_BUDGET, elevation_deg)
        )

    def draw_over(self, clip: Tensor, views: ViewGrid, noise: float, seed: int) -> ViewGrid:
        """See `DrawsOver.draw_over`: the expert looks at a frame and its three orthogonal views."""
        rows = [views.row(azimuth) for azimuth in ORTHOGONAL_AZIMUTHS_DEG[1:]]
        elevation_deg = float(views.elevations_deg[0])

        def made(k: int) -> Gaussians:
            if None in rows:
                return self.expert.lift(clip[k], PSEUDO_BUDGET, elevation_deg)
            sides = [views.at(row, k, clip.shape[1]).to(clip) for row in rows if row is not None]
            return self.expert.reconstruct(torch.stack([clip[k], *sides]), elevation_deg)

        return self._drawn(clip, elevation_deg, made)

    @torch.no_grad()
    def _drawn(self, clip: Tensor, elevation_deg: float, made: Callable[[int], Gaussians]) -> ViewGrid:
        """Views of every frame's Gaussians."""
        size, count = clip.shape[1], len(self.azimuths_deg)
        cameras = orbit(self.azimuths_deg[1:], elevation_deg, size=size)
        rgba = clip.new_zeros(count, *clip.shape)
        rgba[0] = clip
        for k, frame in enumerate(clip):
            if float(frame[..., 3].max()) > EMPTY:
                view = render(made(k), cameras, background=None)
                rgba[1:, k] = unpremultiply(torch.cat([view.rgb, view.alpha[..., None]], dim=-1))
            if self.on_progress is not None:
                self.on_progress("views", k + 1, len(clip))
        trust = torch.full((count, len(clip)), TRUST)
        trust[0] = 1.0
        azimuths = torch.tensor(self.azimuths_deg)
        return ViewGrid(rgba, azimuths, torch.full((count,), elevation_deg), trust)
