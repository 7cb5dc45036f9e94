"""Shape metrics: an asset's Gaussians against the true moving surface, a registry of their own.

The truth is a file `points.npy` in an object's folder: [F, N, 3] points of the surface in the world of the
cameras, point n the same place of the surface at all frames, as ActionBench has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ar4d.asset import Asset4D
from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, Cameras, orbit
from ar4d.errors import UserError
from ar4d.evaluation import geometry
from ar4d.evaluation.scores import Scores
from ar4d.rendering import render

SOLID = 0.5
"""Opacity from which a Gaussian's centre counts as a point of the surface."""


@dataclass(frozen=True, eq=False)
class ShapeMetric:
    """A metric of two moving surfaces."""

    name: str
    title: str
    format: str
    measure: Callable[[Tensor, Tensor], float]
    """Compares found points [T, N, 3] with true ones [T, M, 3]; not finite where it is not defined."""
    tracked: bool = False
    """Whether the found points have to be the same at all times."""


SHAPE_METRICS: dict[str, ShapeMetric] = {}


def register(metric: ShapeMetric) -> ShapeMetric:
    """Adds a shape metric, or replaces the one of its name; returns it."""
    SHAPE_METRICS[metric.name] = metric
    return metric


def _f_score(found: Tensor, truth: Tensor) -> float:
    """The mean over times of `geometry.f_score`, all aligned as the first."""
    aligned = geometry.align(found[0], truth[0])(found)
    return float(np.mean([geometry.f_score(a, b) for a, b in zip(aligned, truth, strict=True)]))


for _metric in (
    ShapeMetric("cd_3d", "CD-3D", "{:.4f}", geometry.chamfer_3d),
    ShapeMetric("cd_4d", "CD-4D", "{:.4f}", geometry.chamfer_4d),
    ShapeMetric("cd_m", "CD-M", "{:.4f}", geometry.motion_chamfer, tracked=True),
    ShapeMetric("f_score", "F-score", "{:.3f}", _f_score),
):
    register(_metric)


def read_points(folder: Path, num_frames: int) -> Tensor | None:
    """The true points [F, N, 3] of an object, or None if its folder has no `points.npy`.

    Raises:
        UserError: the file cannot be read, or holds other frames than the views.
    """
    path = folder / "points.npy"
    if not path.exists():
        return None
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as points ({error}); write it again.") from error
    if points.ndim != 3 or points.shape[2] != 3 or not points.shape[1] or not np.isfinite(points).all():
        raise UserError(f"{path} has the shape {points.shape}; it needs finite numbers [frames, points, 3].")
    if len(points) < num_frames:
        raise UserError(f"{path} has {len(points)} frames, but the views have {num_frames}; complete it.")
    return torch.from_numpy(points[:num_frames]).double()


@torch.no_grad()
def measure_shape(asset: Asset4D, times: list[float], truth: Tensor | None) -> Scores:
    """Shape metrics of an asset, and the agreement of depth between views, which needs no truth.

    Args:
        times: of the truth's frames, in [0, 1].
        truth: [F, N, 3], or None.
    """
    frames = [asset.at(t) for t in times]
    scores = Scores(dict.fromkeys(SHAPE_METRICS))
    if truth is not None:
        tracked = len({len(g) for g in frames}) == 1
        solid = [(frames[0] if tracked else g).opacities > SOLID for g in frames]
        points = [g.means[mask].cpu() for g, mask in zip(frames, solid, strict=True)]
        for name, metric in SHAPE_METRICS.items():
            if min(len(p) for p in points) > 2 and tracked:
                value = metric.measure(torch.stack(points), truth)
                scores[name] = value if math.isfinite(value) else None
    cameras = [orbit(azimuth + 22.5, size=64) for azimuth in ORTHOGONAL_AZIMUTHS_DEG]
    cameras += [orbit(azimuth - 22.5, size=64) for azimuth in ORTHOGONAL_AZIMUTHS_DEG]
    around = Cameras(torch.cat([c.viewmats for c in cameras]), torch.cat([c.Ks for c in cameras]), 64, 64)
    values = [geometry.depth_agreement(render(g, around), around.to(g.means.device)) for g in frames]
    known = [value for value in values if math.isfinite(value)]
    scores["depth_agreement"] = sum(known) / len(known) if known else None
    return scores
