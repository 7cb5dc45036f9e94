"""How good an asset is: its renders against ground truth from cameras around the object.

At the reference camera the numbers say how faithful the asset is to its clip; at the others, how
good the sides are that no frame of the clip shows. Only the latter are hard.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ar4d.asset import Asset4D, frame_time
from ar4d.cameras import Cameras, orbit
from ar4d.evaluation import lpips, metrics
from ar4d.evaluation.ground_truth import GroundTruth, on_white, read_ground_truth
from ar4d.rendering import Rendering, render

if TYPE_CHECKING:
    from ar4d.clip import Clip

TEST_AZIMUTHS_DEG = (-75.0, 15.0, 105.0, 195.0)  # where Consistent4D's benchmark looks from
_FORMATS = {
    "PSNR": "{:.2f}", "SSIM": "{:.3f}", "LPIPS": "{:.3f}", "IoU": "{:.3f}",
    "roughness": "{:.2f}", "fog": "{:.1%}", "seam": "{:.1%}", "flicker": "{:.2f}",
}  # fmt: skip

Show = Callable[[Sequence[float], Cameras], Rendering]
"""What is judged: times in [0, 1], as one camera sees them, become a rendering with a view per time."""


@dataclass(frozen=True)
class Scores:
    """Means over frames (and views). None: not measured, or not defined for these pictures."""

    psnr: float  # dB, larger is better
    ssim: float  # larger is better
    lpips: float | None  # smaller is better
    iou: float  # of the silhouettes, larger is better
    roughness: float | None  # 1 is best
    fog: float | None  # smaller is better
    seam: float | None  # smaller is better
    flicker: float | None  # 1 is best


@dataclass(frozen=True)
class Report:
    """What `evaluate` found. A mean is None where none of the views belongs to it."""

    name: str
    num_frames: int
    views: dict[str, Scores]
    reference: Scores | None  # the clip's own camera
    test: Scores | None  # azimuths -75, 15, 105 and 195
    unseen: Scores | None  # every view but the reference
    notes: tuple[str, ...] = ()  # what a reader of the numbers has to know

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def table(self) -> str:
        """The numbers as aligned text: a line per view, then the means and the notes."""
        means = {"reference": self.reference, "test views": self.test, "all unseen": self.unseen}
        rows = [["", *_FORMATS]]
        rows += [
            [name, *cells(scores).values()] for name, scores in {**self.views, **means}.items() if scores
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for name, *values in rows:
            right = (value.rjust(width) for value, width in zip(values, widths[1:], strict=True))
            lines.append("  ".join([name.ljust(widths[0]), *right]))
        lines.insert(1 + len(self.views), "-" * len(lines[0]))
        return "\n".join([*lines, *self.notes])


def evaluate(
    asset: Asset4D, views: Path, lpips_weights: Path | None = None, *, num_frames: int | None = None
) -> Report:
    """Renders the asset at the times and cameras of the ground truth and compares.

    Frame k of F is compared with `asset.at(k / (F - 1))`, whatever number of frames the asset was
    made from.

    Args:
        views: folder with an object's ground truth, laid out as `ar4d.evaluation.ground_truth` says.
        lpips_weights: LPIPS weights file; None looks into the environment variable AR4D_LPIPS.
        num_frames: of the ground truth, from its beginning; None: all. Give it where the asset was
            made from the first `num_frames` frames only.

    Raises:
        UserError: the folder is not laid out so, or the weights file cannot be used.
    """
    truth = read_ground_truth(Path(views), num_frames)
    report = score(shown(asset), truth, find_lpips(lpips_weights))
    if asset.num_frames == truth.num_frames:
        return report
    note = (
        f"The asset was made from {asset.num_frames} frames and the ground truth has {truth.num_frames}: "
        "they were matched by time, first on first and last on last."
    )
    return replace(report, notes=(*report.notes, note))


def reference_metrics(
    asset: Asset4D, clip: Clip, elevation_deg: float = 0.0, lpips_weights: Path | None = None
) -> Scores:
    """How faithful the asset is to its own clip, at the camera that took it and at the clip's size.

    Args:
        clip: what the asset was made from; frame k of F is compared with `asset.at(k / (F - 1))`.
        elevation_deg: of the clip's camera.
        lpips_weights: as for `evaluate`.

    Raises:
        UserError: the weights file cannot be used.
    """
    rgba = torch.from_numpy(clip.frames).float() / 255
    camera = orbit(0.0, elevation_deg, size=rgba.shape[1])
    with torch.no_grad():
        rendering = shown(asset)([frame_time(k, len(rgba)) for k in range(len(rgba))], camera)
        return compare(rendering, rgba, find_lpips(lpips_weights))


def score(show: Show, truth: GroundTruth, distance: lpips.Lpips | None) -> Report:
    """Compares whatever can be shown with the ground truth. `evaluate` does it with an asset."""
    with torch.no_grad():
        views = {v.name: compare(show(truth.times, v.camera), v.rgba, distance) for v in truth.views}
    test = [view.name for azimuth in TEST_AZIMUTHS_DEG for view in truth.at(azimuth)]
    return Report(
        name=truth.name,
        num_frames=truth.num_frames,
        views=views,
        reference=views[truth.reference] if truth.reference else None,
        test=mean([views[name] for name in test]),
        unseen=mean([scores for name, scores in views.items() if name != truth.reference]),
        notes=() if distance else (lpips.ABSENT,),
    )


def shown(asset: Asset4D) -> Show:
    """An asset as `score` wants it; the Gaussians of a time are made once for all cameras."""
    at = cache(asset.at)

    def show(times: Sequence[float], camera: Cameras) -> Rendering:
        frames = [render(at(t), camera) for t in times]
        return Rendering(*(torch.cat([getattr(x, f.name) for x in frames]) for f in fields(Rendering)))

    return show


def compare(rendering: Rendering, rgba: Tensor, distance: lpips.Lpips | None) -> Scores:
    """Scores consecutive frames of one view.

    Args:
        rendering: F frames, rgb on white.
        rgba: [F, H, W, 4] in [0, 1], the truth with straight alpha.
        distance: LPIPS, or None to go without.
    """
    rgba = rgba.to(rendering.rgb.device)
    pred, true, alpha = rendering.rgb.clamp(0, 1), on_white(rgba), rgba[..., 3]
    return Scores(
        psnr=metrics.psnr(pred, true).mean().item(),
        ssim=metrics.ssim(pred, true).mean().item(),
        lpips=distance(pred, true).mean().item() if distance else None,
        iou=metrics.silhouette_iou(rendering.alpha, alpha).mean().item(),
        roughness=_defined(metrics.roughness(pred, true)),
        fog=_defined(metrics.fog(rendering.alpha)),
        seam=_defined(metrics.seam(rendering.alpha, alpha)),
        flicker=_defined(metrics.flicker(pred, true)),
    )


def mean(scores: Sequence[Scores]) -> Scores | None:
    """The mean of each number over those that have it."""
    if not scores:
        return None
    return Scores(
        psnr=fmean(s.psnr for s in scores),
        ssim=fmean(s.ssim for s in scores),
        lpips=_mean_of_known(s.lpips for s in scores),
        iou=fmean(s.iou for s in scores),
        roughness=_mean_of_known(s.roughness for s in scores),
        fog=_mean_of_known(s.fog for s in scores),
        seam=_mean_of_known(s.seam for s in scores),
        flicker=_mean_of_known(s.flicker for s in scores),
    )


def find_lpips(weights: Path | None = None) -> lpips.Lpips | None:
    """The metric with the weights that the user named, by argument or AR4D_LPIPS; None: named none."""
    path = lpips.find_weights(weights)
    return lpips.Lpips.load(path) if path else None


def cells(scores: Scores) -> dict[str, str]:
    """The numbers as people read them, by title and in the order of the fields; – where there is none."""
    values = (getattr(scores, f.name) for f in fields(Scores))
    pairs = zip(_FORMATS.items(), values, strict=True)
    return {title: "–" if value is None else form.format(value) for (title, form), value in pairs}


def _defined(value: Tensor) -> float | None:
    return value.item() if math.isfinite(value.item()) else None


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [x for x in values if x is not None]
    return fmean(known) if known else None
