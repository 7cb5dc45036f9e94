"""An oracle expert: it reconstructs each frame from the true orthogonal views instead of renders."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG
from ar4d.evaluation.ground_truth import GroundTruth
from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.expert import ALL_VIEWS
from ar4d.gaussians import Gaussians


@dataclass(frozen=True)
class TrueViews:
    """`ViewsToGaussians` by the embedded expert from ground-truth views; it uses view 0 to find the frame."""

    views: Tensor  # [F, 4, S, S, 4] straight alpha
    expert: Embedded
    name: str = "true-views"

    @staticmethod
    def of(truth: GroundTruth) -> TrueViews:
        """The expert for one object with ground truth at the four orthogonal azimuths."""
        views = torch.stack([truth.at(azimuth)[0].rgba for azimuth in ORTHOGONAL_AZIMUTHS_DEG], dim=1)
        expert = replace(Embedded.load(torch.device("cpu")), view_subsets=(ALL_VIEWS,))
        return TrueViews(views, expert)

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        """Reconstruct the frame of the clip whose silhouette is most similar to that of `rgba[0]`."""
        size = self.views.shape[2]
        alpha = F.interpolate(rgba[None, :1, ..., 3].cpu(), size=(size, size), mode="area")[0, 0]
        difference = (self.views[:, 0, ..., 3] - alpha).abs().mean((1, 2))
        return self.expert.reconstruct(self.views[int(difference.argmin())], elevation_deg).to(rgba.device)
