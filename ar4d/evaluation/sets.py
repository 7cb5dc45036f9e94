"""Set metrics: distances between two sets of clips, unlike the metrics of pairs in `registry`.

A set metric has two steps, because its clips come from many objects: `features` of each object's image
matrix, and the `distance` of all features together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from ar4d import plugins
from ar4d.evaluation import arrangements, video_features
from ar4d.evaluation.availability import NotAvailable
from ar4d.evaluation.frechet import frechet_distance, one_clip_distance


@dataclass(frozen=True, eq=False)
class SetMetric:
    """A metric of two sets of clips."""

    name: str
    title: str
    format: str
    """How tables print it, as "{:.0f}"."""
    arrange: Callable[[Tensor], Tensor]
    """Makes clips [N, T, H, W, 3] of an image matrix [V, F, H, W, 3] in [0, 1]."""
    network: str
    """What turns clips into features: a key of `NETWORKS`."""
    distance: Callable[[Tensor, Tensor], float]
    """Compares the features [N, D] of two sets; not finite where it is not defined."""
    protocol: str
    """Where the metric is stated, and what is taken where it is not."""


Load = Callable[[Path | None], video_features.Features | NotAvailable]
NETWORKS: dict[str, Load] = {
    "i3d": video_features.i3d_torchscript,
    "i3d-400": video_features.i3d_kinetics_400,
    "resnet3d": video_features.resnet3d_50,
}
SET_METRICS: dict[str, SetMetric] = {}


def register(metric: SetMetric) -> SetMetric:
    """Adds a set metric, or replaces the one of its name; returns it."""
    SET_METRICS[metric.name] = metric
    return metric


def all_set_metrics() -> Mapping[str, SetMetric]:
    """The program's set metrics, those registered, and those of installed packages."""
    return SET_METRICS | {m.name: m for m in plugins.load("ar4d.set_metrics").objects}


@dataclass(frozen=True)
class ReadySets:
    """The set metrics that can be measured here."""

    metrics: Mapping[str, SetMetric]
    networks: Mapping[str, video_features.Features]
    reasons: tuple[str, ...]
    """A sentence for each network that is not available."""

    def features(self, matrix: Tensor) -> dict[str, Tensor]:
        """The features [N, D] of an object's clips by metric.

        Args:
            matrix: [V, F, H, W, 3] in [0, 1].
        """
        return {
            name: self.networks[metric.network](metric.arrange(matrix))
            for name, metric in self.metrics.items()
        }

    def distances(self, found: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> dict[str, float | None]:
        """The distances by metric; None where one is not defined, as with a single clip.

        Args:
            found: features of all objects, concatenated, by metric.
            truth: as `found`, in the same order.
        """
        values = {name: metric.distance(found[name], truth[name]) for name, metric in self.metrics.items()}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


def ready_sets(names: tuple[str, ...] | None = None, weights: Mapping[str, Path] | None = None) -> ReadySets:
    """Loads the networks of set metrics.

    Args:
        names: of the metrics; None: all.
        weights: files that the user named, by network.

    Raises:
        UserError: a named file is damaged or another network's.
    """
    known = all_set_metrics()
    wanted = {name: known[name] for name in (known if names is None else names)}
    networks: dict[str, video_features.Features] = {}
    reasons = []
    for network in dict.fromkeys(metric.network for metric in wanted.values()):
        loaded = NETWORKS[network]((weights or {}).get(network))
        if isinstance(loaded, NotAvailable):
            reasons.append(loaded.reason)
        else:
            networks[network] = loaded
    metrics = {name: metric for name, metric in wanted.items() if metric.network in networks}
    return ReadySets(metrics, networks, tuple(reasons))


def _mean_of_clips(found: Tensor, truth: Tensor) -> float:
    """The mean over clips of `one_clip_distance`."""
    return fmean(one_clip_distance(a, b) for a, b in zip(found, truth, strict=True))


_FVD = "Unterthiner et al. 2018, with the I3D network of StyleGAN-V's code; covariances divided by n - 1. "
for _metric in (
    SetMetric("fvd", "FVD", "{:.0f}", arrangements.over_frames, "i3d", frechet_distance,
              _FVD + "A clip for each view. AR4D does not state the set: all objects and views together."),
    SetMetric("fvd16", "FVD-16", "{:.0f}", arrangements.first_frames, "i3d", frechet_distance,
              _FVD + "AR4D, Table 1, does not state it: the first 16 frames of each clip."),
    SetMetric("fvd_f", "FVD-F", "{:.0f}", arrangements.over_frames, "i3d", frechet_distance,
              _FVD + "SV4D 2.0, Sec. 5: over frames at a fixed view."),
    SetMetric("fvd_v", "FVD-V", "{:.0f}", arrangements.over_views, "i3d", frechet_distance,
              _FVD + "SV4D 2.0, Sec. 5: over views at a fixed frame. Short clips repeat each image."),
    SetMetric("fvd_diag", "FVD-Diag", "{:.0f}", arrangements.diagonal, "i3d", frechet_distance,
              _FVD + "SV4D 2.0, Sec. 5: over the diagonal; frame k from view k mod V."),
    SetMetric("fv4d", "FV4D", "{:.0f}", arrangements.zigzag, "i3d", frechet_distance,
              _FVD + "SV4D 2.0, Sec. 5: all images in bidirectional raster order, a row per view."),
    SetMetric("fvd_one_clip", "FVD (one clip, Consistent4D)", "{:.1f}", arrangements.over_frames, "i3d-400",
              _mean_of_clips,
              "Consistent4D's script, which sees one clip per view: the closed form of `one_clip_distance`."),
    SetMetric("fid_vid", "FID-VID", "{:.1f}", arrangements.over_frames, "resnet3d", frechet_distance,
              "DisCo's script: 3D ResNet-50 of Kinetics, segments of 16 frames, mean over segments."),
):  # fmt: skip
    register(_metric)


def joined(features: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The features of several objects as one set, by metric."""
    return {name: torch.cat([entry[name] for entry in features]) for name in features[0]} if features else {}
