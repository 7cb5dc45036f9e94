"""The registry of metrics of pairs: one `Metric` entry per metric, in `METRICS`. `sets` has those of sets.

Reports, tables and the command line read it. Another package adds a metric by `register`, or by an entry
point in the group `ar4d.metrics` that names a `Metric`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from ar4d import plugins
from ar4d.evaluation import clip_similarity, debris, lpips, metrics
from ar4d.evaluation.availability import NotAvailable
from ar4d.evaluation.scores import Scores


@dataclass(frozen=True, eq=False)
class Frames:
    """Consecutive frames of one view."""

    rgb: Tensor  # [F, H, W, 3] on white, in [0, 1]
    alpha: Tensor  # [F, H, W] in [0, 1]


Measure = Callable[[Frames, Frames], Tensor]
"""Compares frames with the truth; a scalar, not finite where the metric is not defined."""


@dataclass(frozen=True)
class Metric:
    """A metric of a pair: frames of a view against the truth of the same view."""

    name: str
    """Its name in JSON and in `Scores`."""
    title: str
    """Its name in tables."""
    format: str
    """How tables print it, as "{:.2f}"."""
    better: Literal["higher", "lower", "one"]
    """Which values are better; "one" is for ratios to the truth."""
    load: Callable[[Path | None], Measure | NotAvailable]
    """Makes it ready to measure. It gets the weights file that the user named for it, or None."""


METRICS: dict[str, Metric] = {}


def register(metric: Metric) -> Metric:
    """Adds a metric, or replaces the one of its name; returns it."""
    METRICS[metric.name] = metric
    return metric


def all_metrics() -> Mapping[str, Metric]:
    """The program's metrics, those registered, and those of installed packages."""
    return METRICS | {metric.name: metric for metric in plugins.load("ar4d.metrics").objects}


def ready(
    weights: Mapping[str, Path | None], names: Sequence[str] | None = None
) -> tuple[dict[str, Measure], tuple[str, ...]]:
    """All metrics that can be measured here by name, and a sentence for each that cannot.

    Args:
        weights: files that the user named, by metric.
        names: of the metrics; None: all.
    """
    measures, reasons = {}, []
    for metric in all_metrics().values():
        if names is not None and metric.name not in names:
            continue
        loaded = metric.load(weights.get(metric.name))
        if isinstance(loaded, NotAvailable):
            reasons.append(loaded.reason)
        else:
            measures[metric.name] = loaded
    return measures, tuple(reasons)


def measure(measures: Mapping[str, Measure], found: Frames, truth: Frames) -> Scores:
    """The scores of one view; metrics that are not ready count as not measured."""
    values = {name: float(measures[name](found, truth)) for name in measures}
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    return Scores({name: finite.get(name) for name in all_metrics()})


def format_scores(scores: Scores) -> dict[str, str]:
    """The numbers as people read them, by title; – where there is none."""
    texts = {}
    for name, metric in all_metrics().items():
        value = scores.get(name)
        texts[metric.title] = "–" if value is None else metric.format.format(value)
    return texts


def _plain(measure: Measure) -> Callable[[Path | None], Measure]:
    """`Metric.load` of a metric that needs no weights."""
    return lambda weights: measure


def _lpips(net: lpips.Network) -> Callable[[Path | None], Measure | NotAvailable]:
    def load(weights: Path | None) -> Measure | NotAvailable:
        path = lpips.find_weights(weights, net)
        if path is None:
            return NotAvailable(lpips.absent(net))
        distance = lpips.Lpips.load(path, net)
        return lambda found, truth: distance(found.rgb, truth.rgb).mean()

    return load


def _clip_s(weights: Path | None) -> Measure | NotAvailable:
    similarity = clip_similarity.load(weights)
    if isinstance(similarity, NotAvailable):
        return similarity
    return lambda found, truth: similarity(found.rgb, truth.rgb).mean()


for _metric in (
    Metric("psnr", "PSNR", "{:.2f}", "higher", _plain(lambda a, b: metrics.psnr(a.rgb, b.rgb).mean())),
    Metric("ssim", "SSIM", "{:.3f}", "higher", _plain(lambda a, b: metrics.ssim(a.rgb, b.rgb).mean())),
    Metric("lpips", "LPIPS", "{:.3f}", "lower", _lpips(lpips.ALEX)),
    Metric(
        "ssim_inside",
        "SSIM inside",
        "{:.3f}",
        "higher",
        _plain(lambda a, b: metrics.ssim_inside(a.rgb, b.rgb).mean()),
    ),
    Metric("mse", "MSE", "{:.4f}", "lower", _plain(lambda a, b: metrics.mse(a.rgb, b.rgb).mean())),
    Metric("lpips_vgg", "LPIPS (VGG)", "{:.3f}", "lower", _lpips(lpips.VGG)),
    Metric("clip_s", "CLIP-S", "{:.3f}", "higher", _clip_s),
    Metric(
        "iou", "IoU", "{:.3f}", "higher", _plain(lambda a, b: metrics.silhouette_iou(a.alpha, b.alpha).mean())
    ),
    Metric("roughness", "roughness", "{:.2f}", "one", _plain(lambda a, b: metrics.roughness(a.rgb, b.rgb))),
    Metric("fog", "fog", "{:.1%}", "lower", _plain(lambda a, b: metrics.fog(a.alpha))),
    Metric("seam", "seam", "{:.1%}", "lower", _plain(lambda a, b: metrics.seam(a.alpha, b.alpha))),
    Metric("flicker", "flicker", "{:.2f}", "one", _plain(lambda a, b: metrics.flicker(a.rgb, b.rgb))),
    Metric(
        "specks",
        "specks",
        "{:.2f}",
        "one",
        _plain(lambda a, b: debris.specks(a.rgb, a.alpha) / debris.specks(b.rgb, b.alpha)),
    ),
    Metric(
        "fraying",
        "fraying",
        "{:.2f}",
        "one",
        _plain(lambda a, b: debris.fraying(a.alpha) / debris.fraying(b.alpha)),
    ),
    Metric("drift", "drift", "{:+.3f}", "higher", _plain(lambda a, b: metrics.drift(a.rgb, b.rgb))),
    Metric(
        "motion", "motion", "{:.2f}", "higher", _plain(lambda a, b: metrics.motion_psnr(a.rgb, b.rgb).mean())
    ),
):
    register(_metric)
