"""An expert that cheats: it reconstructs each frame from the true orthogonal views, not from renders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG
from ar4d.evaluation.ground_truth import GroundTruth
from ar4d.experts import registry
from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.expert import ALL
from ar4d.experts.registry import Entry
from ar4d.gaussians import Gaussians

TRUE_VIEWS = "true-views"


@dataclass(frozen=True)
class TrueViews:
    """`ViewsToGaussians` by the embedded expert, shown the truth; only view 0 of what it is given counts."""

    views: Tensor  # [F, 4, S, S, 4] straight alpha
    expert: Embedded
    name: str = TRUE_VIEWS

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        """Of the frame of the clip that looks most like `rgba[0]`."""
        size = self.views.shape[2]
        alpha = F.interpolate(rgba[None, :1, ..., 3].cpu(), size=(size, size), mode="area")[0, 0]
        difference = (self.views[:, 0, ..., 3] - alpha).abs().mean((1, 2))
        return self.expert.reconstruct(self.views[int(difference.argmin())], elevation_deg).to(rgba.device)


@contextmanager
def true_views(truth: GroundTruth) -> Iterator[None]:
    """Registers the expert for one object."""

    def build(device: torch.device) -> TrueViews:
        found = [truth.at(azimuth)[0].rgba for azimuth in ORTHOGONAL_AZIMUTHS_DEG]
        expert = replace(Embedded.load(device), looks=(ALL,))
        return TrueViews(torch.stack(found, dim=1), expert)

    entry = Entry(TRUE_VIEWS, ("views_to_gaussians",), "shown the truth", lambda device: None, build)
    before = registry.ENTRIES
    registry.ENTRIES = (*before, entry)
    try:
        yield
    finally:
        registry.ENTRIES = before
