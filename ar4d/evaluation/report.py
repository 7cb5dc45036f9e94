"""How good an asset is: its renders against ground truth from cameras around the object.

At the reference camera the numbers say how faithful the asset is to its clip; at the others, how
good the sides are that no frame of the clip shows. Only the latter are hard.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ar4d.asset import Asset4D, frame_time
from ar4d.cameras import Cameras, orbit
from ar4d.errors import UserError
from ar4d.evaluation.ground_truth import GroundTruth, read_ground_truth
from ar4d.evaluation.protocols import TEST_AZIMUTHS_DEG
from ar4d.evaluation.registry import Frames, Measure, format_scores, measure, ready
from ar4d.evaluation.scores import Scores, mean
from ar4d.images import on_white
from ar4d.rendering import Rendering, render
from ar4d.tables import text_table

if TYPE_CHECKING:
    from ar4d.clip import Clip

ViewRenderer = Callable[[Sequence[float], Cameras], Rendering]
"""What is judged: times in [0, 1], as one camera sees them, become a rendering with a view per time."""


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
        rows = [["", *format_scores(Scores())]]
        rows += [
            [name, *format_scores(scores).values()]
            for name, scores in {**self.views, **means}.items()
            if scores
        ]
        return "\n".join([text_table(rows, numbers=True), *self.notes])


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
    report = evaluate_views(asset_renderer(asset), truth, {"lpips": lpips_weights})
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
        rendering = asset_renderer(asset)([frame_time(k, len(rgba)) for k in range(len(rgba))], camera)
        return compare(rendering, rgba, ready({"lpips": lpips_weights})[0])


def evaluate_views(
    render_views: ViewRenderer, truth: GroundTruth, weights: Mapping[str, Path | None] | None = None
) -> Report:
    """Compares whatever can be rendered with the ground truth. `evaluate` does it with an asset.

    Args:
        weights: files that the user named, by metric (see `ar4d.evaluation.registry`).
    """
    measures, reasons = ready(weights or {})
    with torch.no_grad():
        views = {v.name: compare(render_views(truth.times, v.camera), v.rgba, measures) for v in truth.views}
    test = [view.name for azimuth in TEST_AZIMUTHS_DEG for view in truth.at(azimuth)]
    return Report(
        name=truth.name,
        num_frames=truth.num_frames,
        views=views,
        reference=views[truth.reference] if truth.reference else None,
        test=mean([views[name] for name in test]),
        unseen=mean([scores for name, scores in views.items() if name != truth.reference]),
        notes=reasons,
    )


def asset_renderer(asset: Asset4D) -> ViewRenderer:
    """An asset as `evaluate_views` wants it; the Gaussians of a time are made once for all cameras."""
    at = cache(asset.at)

    def render_views(times: Sequence[float], camera: Cameras) -> Rendering:
        frames = [render(at(t), camera) for t in times]
        return Rendering(*(torch.cat([getattr(x, f.name) for x in frames]) for f in fields(Rendering)))

    return render_views


def compare(rendering: Rendering, rgba: Tensor, measures: Mapping[str, Measure]) -> Scores:
    """Scores consecutive frames of one view.

    Args:
        rendering: F frames, rgb on white.
        rgba: [F, H, W, 4] in [0, 1], the truth with straight alpha.
        measures: metrics that are ready (see `ar4d.evaluation.registry.ready`).

    Raises:
        UserError: the rendering holds values that are not finite.
    """
    if not rendering.rgb.isfinite().all() or not rendering.alpha.isfinite().all():
        raise UserError("A render holds values that are no numbers; the asset is damaged, make it again.")
    rgba = rgba.to(rendering.rgb.device)
    found = Frames(rendering.rgb.clamp(0, 1), rendering.alpha)
    return measure(measures, found, Frames(on_white(rgba), rgba[..., 3]))
