"""The scene expert: depth per pixel by Depth Anything V2 (arXiv 2406.09414), metric and small.

The small network alone is under a permissive licence (Apache-2.0; the larger ones are CC BY-NC), and it
runs on a CPU in seconds. It is transformers' own class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS
from ar4d.errors import UserError
from ar4d.experts.depth.surface import lift_depth
from ar4d.experts.hardware import missing_libraries
from ar4d.experts.protocols import Unavailable
from ar4d.gaussians import Gaussians
from ar4d.weights.hub import fetch, why_unavailable
from ar4d.weights.release import Release, weight_files
from ar4d.weights.transformers import load_pretrained

PATCH = 14
SIDE = 518  # pixels of the shorter side, as trained
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _release(place: str) -> Release:
    return Release(
        repo=f"depth-anything/Depth-Anything-V2-Metric-{place}-Small-hf",
        files=("config.json",),
        gib=0.1,
        licence="Apache-2.0",
        weights=("model",),
    )


INDOOR, OUTDOOR = _release("Indoor"), _release("Outdoor")

Depth = Callable[[Tensor], Tensor]
"""[H, W, 3] in [0, 1] -> [H, W] distance along the camera's axis, in any unit, above 0."""


class DepthAnything:
    """`Depth` by the network."""

    def __init__(self, network: Any, side: int = SIDE) -> None:
        self.network, self.side = network, side

    @staticmethod
    def load(release: Release, device: torch.device | str, folder: Path | None = None) -> DepthAnything:
        """Loads the published weights, in float32: it is a small network.

        Raises:
            UserError: the weights are unavailable or do not fit.
        """
        from transformers import DepthAnythingForDepthEstimation

        root = fetch(release, folder)
        files = [root / name for stem in release.weights for name in weight_files(root, stem)]
        network = load_pretrained(DepthAnythingForDepthEstimation, root, files, torch.float32)
        if network.config.depth_estimation_type != "metric":
            raise UserError(f"{root} is a network for relative depth; take the metric one: {release}.")
        return DepthAnything(network.to(device))

    @torch.no_grad()
    def __call__(self, rgb: Tensor) -> Tensor:
        height, width = rgb.shape[:2]
        scale = self.side / min(height, width)
        size = [max(1, round(length * scale / PATCH)) * PATCH for length in (height, width)]
        device = self.network.device
        pixels = rgb.permute(2, 0, 1)[None].float().to(device)
        pixels = F.interpolate(pixels, size, mode="bicubic", align_corners=False, antialias=True)
        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (MEAN, STD))
        depth = self.network(pixel_values=(pixels.clamp(0, 1) - mean) / std).predicted_depth[:, None]
        depth = F.interpolate(depth, (height, width), mode="bilinear", align_corners=False)[0, 0]
        return depth.clamp_min(1e-3).to(rgb.device)


@dataclass(frozen=True)
class DepthLift:
    """`SceneToGaussians`: a Gaussian per cell of the picture, as far away as the network says."""

    depth: Depth
    name: str = "depth"

    @staticmethod
    def available(
        release: Release, device: torch.device | str, folder: Path | None = None
    ) -> Unavailable | None:
        """Why it cannot run, or None if it can: it runs on every device."""
        refusal = missing_libraries("Depth Anything", "transformers")
        if refusal is not None:
            return refusal
        reason = why_unavailable(release, folder)
        return None if reason is None else Unavailable(reason)

    @staticmethod
    def load(release: Release, device: torch.device | str, folder: Path | None = None) -> DepthLift:
        """Loads the published weights; see `DepthAnything.load`."""
        return DepthLift(DepthAnything.load(release, device, folder))

    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """As `ImageToGaussians.lift`: the middle depth comes to lie at the orbit's centre."""
        depth = self._measured(rgba)
        scaled = depth * (RADIUS / depth[rgba[..., 3] > 0.5].median())
        return lift_depth(rgba, scaled, cells_for(budget, rgba), elevation_deg)

    def relift(self, rgba: Tensor, known: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """As `SceneToGaussians.relift`."""
        depth = self._measured(rgba)
        both = (rgba[..., 3] > 0.5) & (known > 0)
        if not both.any():
            raise UserError("The frame shows nothing of the scene that is known; choose another part of it.")
        # Most of a scene stands still: the median tells the network's scale, whatever moves.
        scaled = depth * (known[both] / depth[both]).median()
        return lift_depth(rgba, scaled, cells_for(budget, rgba), elevation_deg)

    def _measured(self, rgba: Tensor) -> Tensor:
        """[S, S] depth; the network is shown the picture without its transparent margins."""
        seen = rgba[..., 3] > 0.5
        if not seen.any():
            raise UserError("The frame is empty; choose another part of the clip.")
        rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        depth = torch.ones(rgba.shape[:2], device=rgba.device)
        depth[top:bottom, left:right] = self.depth(rgba[top:bottom, left:right, :3])
        if not bool(torch.isfinite(depth).all()) or float(depth.min()) <= 0:
            raise UserError(
                "The depth network gave no finite depths: its weights are damaged, fetch them again."
            )
        return depth


def cells_for(budget: int, rgba: Tensor) -> int:
    """Width of the grid whose solid cells are about `budget`; no finer than the picture [S, S, 4]."""
    coverage = max(float((rgba[..., 3] > 0.5).float().mean()), 1e-3)
    return int(np.clip(round((budget / coverage) ** 0.5), 8, rgba.shape[0]))
