"""Where stage 2's pseudo-views come from (Sec. 4.2, progressive view sampling).

The paper has one source: the Gaussians so far are rendered at four orthogonal azimuths, the actual frame
takes the place of view 0, and an expert makes the pseudo-Gaussians Ĝ of them. All sources here make Ĝ;
`ViewCache` renders it, and `ar4d.losses.pseudo_view` (Eq. 8) compares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, orbit
from ar4d.clip.streamed import Frames
from ar4d.engines.ar4d.fitting import ViewCache
from ar4d.experts.protocols import SceneToGaussians, ViewsToGaussians
from ar4d.gaussians import Gaussians
from ar4d.images import unpremultiply
from ar4d.rendering import Rendering, render
from ar4d.settings import ReferenceRig
from ar4d.views import ViewGrid


class PseudoViews(Protocol):
    """A source of pseudo-views."""

    def at(self, frame_index: int, gaussians: Callable[[], Gaussians], u: int) -> ViewCache:
        """Ĝ of a frame, ready to be rendered from any azimuth.

        Args:
            frame_index: of the frame that is being fitted.
            gaussians: gives them as they are in step u of its fit.
            u: 0-based step within this frame. A source may keep what it made in an earlier step.
        """
        ...


@dataclass(eq=False)
class RenderedViews:
    """The paper's source: renders of the Gaussians so far, made again every few steps.

    Locked by `test_view_0_is_the_frame_and_the_others_are_renders` and
    `test_the_expert_is_asked_every_few_steps_of_each_frame` (tests/engines/ar4d/test_pseudo_views.py).
    """

    rgba: Frames
    """F frames [S, S, 4] of the clip, straight alpha: the actual frame is view 0."""
    expert: ViewsToGaussians
    rig: ReferenceRig
    every: int
    """Steps for which Ĝ is kept."""

    @torch.no_grad()
    def at(self, frame_index: int, gaussians: Callable[[], Gaussians], u: int) -> ViewCache:
        if u % self.every == 0:
            cameras = orbit(ORTHOGONAL_AZIMUTHS_DEG[1:], self.rig.elevation_deg, size=self.rig.size)
            renders = render(gaussians(), cameras, background=None)
            views = torch.cat([self.rgba[frame_index][None], _straight(renders)])
            pseudo = self.expert.reconstruct(views, self.rig.elevation_deg)
            self._cache = ViewCache(pseudo, self.rig.elevation_deg, self.rig.pseudo_size)
        return self._cache


@dataclass(eq=False)
class GridViews:
    """Views of the whole clip that were made beforehand; where the grid has none, renders as above.

    Ĝ does not depend on the step, so it is made once per frame.

    Locked by `test_a_grid_replaces_the_renders_at_its_azimuths` (tests/engines/ar4d/test_pseudo_views.py).
    """

    grid: ViewGrid
    expert: ViewsToGaussians
    rig: ReferenceRig

    @torch.no_grad()
    def at(self, frame_index: int, gaussians: Callable[[], Gaussians], u: int) -> ViewCache:
        if u == 0:
            now = gaussians()
            views = torch.stack(
                [self._view(azimuth, frame_index, now) for azimuth in ORTHOGONAL_AZIMUTHS_DEG]
            )
            pseudo = self.expert.reconstruct(views, self.rig.elevation_deg)
            self._cache = ViewCache(pseudo, self.rig.elevation_deg, self.rig.pseudo_size)
        return self._cache

    def _view(self, azimuth_deg: float, frame_index: int, gaussians: Gaussians) -> Tensor:
        row = self.grid.row(azimuth_deg)
        if row is not None:
            return self.grid.at(row, frame_index, self.rig.size).to(gaussians.means.device)
        camera = orbit(azimuth_deg, self.rig.elevation_deg, size=self.rig.size)
        return _straight(render(gaussians, camera, background=None))[0]


@dataclass(eq=False)
class SceneViews:
    """For a scene, which has no view from behind: Ĝ is lifted from the actual frame alone.

    Its scale is that of the scene as it is in this step (the paper's Splatt3R sees the reference view and
    one more). Where Ĝ shows nothing, something in front hides what an earlier frame may have shown, and
    nothing is compared.
    """

    rgba: Frames
    """F frames [S, S, 4] of the clip, straight alpha."""
    expert: SceneToGaussians
    rig: ReferenceRig
    budget: int
    every: int

    @torch.no_grad()
    def at(self, frame_index: int, gaussians: Callable[[], Gaussians], u: int) -> ViewCache:
        if u % self.every == 0:
            view = render(gaussians(), orbit(0.0, self.rig.elevation_deg, size=self.rig.size))
            known = torch.where(view.alpha > 0.5, view.depth / view.alpha.clamp_min(1e-6), 0.0)[0]
            rgba = self.rgba[frame_index]
            pseudo = self.expert.relift(rgba, known, self.budget, self.rig.elevation_deg)
            self._cache = ViewCache(pseudo, self.rig.elevation_deg, self.rig.pseudo_size, covered_only=True)
        return self._cache


def _straight(premultiplied: Rendering) -> Tensor:
    """[C, H, W, 4] straight alpha in [0, 1] of renders without a background."""
    return unpremultiply(torch.cat([premultiplied.rgb, premultiplied.alpha[..., None]], dim=-1))
