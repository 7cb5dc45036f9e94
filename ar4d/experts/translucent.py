"""See-through subjects: experts reconstruct what is opaque, so they get the subject as if it were.

Every expert has its own idea of the alpha from which a pixel shows the object. One factor, the subject's own
opacity, makes all of them agree: alpha is divided by it on the way in, and the Gaussians become as
transparent as the subject on the way out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.gaussians import Gaussians
from ar4d.rendering import render

_SIZE = 96  # pixels of the renders in which the opacity is measured
_STEPS = 12  # of the bisection: k to 1/1000 of its range
_LONGEST = 8.0  # upper end of k's range
_SOLID = 0.95  # alpha of the pixels that are measured


@dataclass(frozen=True)
class Translucent:
    """`ImageToGaussians` and `ViewsToGaussians` for a subject whose most opaque part is see-through."""

    expert: Any
    """The expert that reconstructs it as if it were opaque."""
    opacity: float
    """Alpha of the subject's most opaque part, in (0, 1)."""

    @property
    def name(self) -> str:
        return self.expert.name

    @property
    def facing_estimate(self) -> tuple[float, float] | None:
        return getattr(self.expert, "facing_estimate", None)

    def with_clip(self, clip: Tensor, facing_deg: float | None = None) -> Translucent:
        """Show the expert the clip as if its subject were opaque."""
        if not hasattr(self.expert, "with_clip"):
            return self
        return replace(self, expert=self.expert.with_clip(as_opaque(clip, self.opacity), facing_deg))

    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        lifted = self.expert.lift(as_opaque(rgba, self.opacity), budget, elevation_deg)
        return thinned(lifted, self.opacity, elevation_deg)

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        reconstructed = self.expert.reconstruct(as_opaque(rgba, self.opacity), elevation_deg)
        return thinned(reconstructed, self.opacity, elevation_deg)


def as_opaque(rgba: Tensor, opacity: float) -> Tensor:
    """The pictures [..., 4] with alpha divided by the subject's opacity, at most 1."""
    return torch.cat([rgba[..., :3], (rgba[..., 3:] / opacity).clamp(max=1)], dim=-1)


@torch.no_grad()
def thinned(gaussians: Gaussians, opacity: float, elevation_deg: float) -> Gaussians:
    """Make Gaussians so transparent that together they cover what they show by `opacity`.

    A ray that passes Gaussians of opacities oᵢ is transmitted by ∏ (1 − oᵢ). With o' = 1 − (1 − o)ᵏ the
    transmittance becomes its k-th power; k is found by bisection in renders from the reference camera.

    Args:
        gaussians: of an opaque object.
        opacity: in (0, 1).
        elevation_deg: of the reference camera.
    """
    camera = orbit(0.0, elevation_deg, size=_SIZE)
    shown = render(gaussians, camera).alpha > _SOLID
    low, high = 0.0, _LONGEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        covered = render(_with_power(gaussians, middle), camera).alpha[shown].mean()
        low, high = (middle, high) if covered < opacity else (low, middle)
    return _with_power(gaussians, (low + high) / 2)


def _with_power(gaussians: Gaussians, power: float) -> Gaussians:
    opacities = 1 - (1 - gaussians.opacities.clamp(max=1 - 1e-6)) ** power
    return replace(gaussians, opacities=opacities)
