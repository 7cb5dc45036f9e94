"""One asset measured by a protocol, with its shape: what `ar4d evaluate --protocol` prints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ar4d.asset import Asset4D
from ar4d.evaluation import protocols, sets, shapes
from ar4d.evaluation.ground_truth import read_ground_truth
from ar4d.evaluation.registry import Frames, all_metrics
from ar4d.evaluation.report import asset_renderer
from ar4d.evaluation.scores import Scores
from ar4d.tables import text_table


@dataclass(frozen=True)
class ProtocolReport:
    """What one asset scores by one protocol."""

    protocol: str
    source: str
    details: str
    scores: Scores
    """Metrics of pairs and sets by the protocol."""
    shape: Scores
    """Shape metrics; None where the truth has no points."""
    notes: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def table(self) -> str:
        """The numbers as aligned text, a line each, with their protocol; – where there is none."""
        rows = [["", self.protocol], *([title_of(k), formatted(k, v)] for k, v in self.scores.items())]
        rows += [[title_of(k), formatted(k, v)] for k, v in self.shape.items()]
        return "\n".join([text_table(rows, numbers=True), self.source, self.details, *self.notes])


def measure_by_protocol(
    asset: Asset4D, views: Path, name: str, lpips_weights: Path | None = None
) -> ProtocolReport:
    """Renders an asset at the cameras of an object's ground truth and measures it by a protocol.

    Args:
        views: folder with the ground truth (see `ar4d.evaluation.ground_truth`).
        name: of the protocol.
        lpips_weights: for the protocol's LPIPS; None: the environment variable of its network.

    Raises:
        UserError: there is no such protocol, the truth lacks what it needs, or weights are damaged.
    """
    protocol, truth = protocols.find(name), read_ground_truth(Path(views))
    show = asset_renderer(asset)
    with torch.no_grad():
        renders = {v.name: show(truth.times, v.camera) for v in truth.views}
    found = {view: Frames(r.rgb.clamp(0, 1).cpu(), r.alpha.cpu()) for view, r in renders.items()}
    lpips_name = next(metric for metric in protocol.pairs if metric.startswith("lpips"))
    result = protocols.measure_protocol(protocol, found, truth, {lpips_name: lpips_weights})
    scores = Scores({**result.scores, **protocols.set_distances(protocol, [result])})
    shape = shapes.measure_shape(asset, truth.times, shapes.read_points(Path(views), truth.num_frames))
    return ProtocolReport(protocol.name, protocol.source, protocol.details, scores, shape, result.notes)


def title_of(name: str) -> str:
    """A metric's name in tables, of whatever kind it is."""
    for kind in (all_metrics(), sets.all_set_metrics(), shapes.SHAPE_METRICS):
        if name in kind:
            return kind[name].title
    return name.replace("_", " ")


def formatted(name: str, value: float | None) -> str:
    """A number as tables print it; – where there is none."""
    for kind in (all_metrics(), sets.all_set_metrics(), shapes.SHAPE_METRICS):
        if name in kind and value is not None:
            return kind[name].format.format(value)
    return "–" if value is None else f"{value:.3f}"
