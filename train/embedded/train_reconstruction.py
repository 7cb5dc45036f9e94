"""Trains the embedded expert's reconstruction network.

    python -m train.embedded.train_reconstruction --data DIR --out RUN --minutes 60

The same command runs on a CPU and on a GPU, in bfloat16. A stopped run resumes from RUN/last.pt.
RUN/curve.jsonl and RUN/curve.png show the validation scores against the examples seen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.evaluation.metrics import silhouette_iou
from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.expert import FIRST_VIEW, with_prefix
from ar4d.experts.embedded.facing import KnownPlane
from ar4d.experts.embedded.network import COLOR_OFFSETS, OCCUPANCY_OFFSETS, Network, Prediction, encode
from ar4d.images import on_white
from ar4d.rendering import render
from train.data.device_constants import constant
from train.data.example_source import HOLDOUT_SIZE, amortized, example_sources, generator, repeated
from train.data.examples import ExampleBatch, make_examples, ray_targets
from train.data.samples import TEST_AZIMUTHS_DEG, Samples
from train.loop import Losses, Options, Trainer, launch
from train.report import draw_sheet

GAUSSIANS = 8000
"""Gaussians of a validated object."""
RENDERED = 24
"""Largest number of validated objects that are rendered."""


@dataclass(frozen=True)
class ReconstructionOptions(Options):
    """Train the embedded expert's reconstruction network."""


def compute_losses(network: Network, batch: ExampleBatch) -> Losses:
    """Run the network in bfloat16 and compute the losses of its prediction."""
    with torch.autocast(batch.inputs.device.type, torch.bfloat16):
        prediction = network(batch.inputs)
    return losses(prediction, batch)


def load_initial_weights(network: Network, weights: dict[str, Tensor]) -> None:
    """Load the weights of an earlier run; tensors that it lacks keep their initial values."""
    network.load_state_dict(network.state_dict() | with_prefix(weights, "network."))


def losses(prediction: Prediction, batch: ExampleBatch) -> Losses:
    """Losses of a prediction pixel by pixel; nothing is rendered.

    Absolute errors favour the likeliest depth and colour over the mean of several, and the cross-entropy
    favours decided occupancy; a squared error on renders would be satisfied with fog.
    """
    mask = (batch.front_depth > 0).float()
    count = mask.sum().clamp_min(1)
    front = ((prediction.front_depth - batch.front_depth).abs() * mask).sum() / count
    slopes = (_slopes(prediction.front_depth, mask) - _slopes(batch.front_depth, mask)).abs().sum() / count
    # Wide bins weigh more: errors there are more visible from the side.
    widths = constant((0.0, *OCCUPANCY_OFFSETS), mask.device).diff().sqrt()
    weight = (widths / widths.mean())[:, None, None]
    entropy = F.binary_cross_entropy_with_logits(
        prediction.occupancy_logits, batch.occupancy, reduction="none"
    )
    occupancy = (weight * entropy).mean(1)
    color_error = (_predicted_colors(prediction, batch.color_points) - batch.colors).abs().mean(-1)
    return {
        "front_depth": 8 * front,
        "slope": 4 * slopes,
        "occupancy": 2 * (occupancy * mask).sum() / count,
        "rgb": 1.5 * (color_error * batch.color_mask).sum() / batch.color_mask.sum().clamp_min(1),
    }


def _predicted_colors(prediction: Prediction, points: Tensor) -> Tensor:
    """Colours [B, P, 3] at points [B, P, 3] as `ExampleBatch.color_points` defines them."""
    # Searching the inner offsets alone clamps the layer, so that it is a valid index for any distance.
    lower = torch.bucketize(points[..., 2].contiguous(), constant(COLOR_OFFSETS[1:-1], points.device))
    offsets = constant(COLOR_OFFSETS, points.device)
    share = ((points[..., 2] - offsets[lower]) / (offsets[lower + 1] - offsets[lower])).clamp(0, 1)
    layer = (2 * (lower + share) + 1) / len(COLOR_OFFSETS) - 1  # grid_sample places layers at cells' centres
    grid = torch.cat([points[..., :2], layer[..., None]], -1)[:, None, None]
    volume = prediction.colors.transpose(1, 2)  # [B, 3, layers, H, W]
    colors = F.grid_sample(volume, grid, padding_mode="border", align_corners=False)[:, :, 0, 0]
    return colors.transpose(1, 2)


def _slopes(depth: Tensor, mask: Tensor) -> Tensor:
    """Differences of neighbouring depths on the object, clamped because of jumps between surfaces."""
    parts = []
    for axis in (-1, -2):
        size = depth.shape[axis]
        after, before = depth.narrow(axis, 1, size - 1), depth.narrow(axis, 0, size - 1)
        both = mask.narrow(axis, 1, size - 1) * mask.narrow(axis, 0, size - 1)
        parts.append(((after - before).clamp(-0.1, 0.1) * both).flatten(1))
    return torch.cat(parts, 1)


@torch.no_grad()
def validate(network: Network, holdout: ExampleBatch, samples: Samples, out: Path) -> dict[str, float]:
    """Scores on holdout objects: unseen views of rendered samples, if there are any, and the losses."""
    terms = {f"holdout_{name}": float(value) for name, value in compute_losses(network, holdout).items()}
    return (unseen_views(network, samples, out) if len(samples) else {}) | terms


def unseen_views(network: Network, samples: Samples, out: Path) -> dict[str, float]:
    """Scores of the expert given the true planes: PSNR and IoU at unseen views, and depth error."""
    network = deepcopy(network).to("cpu")
    count = min(RENDERED, len(samples))
    chosen = [round(k * (len(samples) - 1) / max(count - 1, 1)) for k in range(count)]
    scores: dict[str, list[float]] = {"psnr": [], "iou": [], "front_depth": []}
    rows = []
    for index in chosen:
        views, depth = samples.views(index, 0)
        front = ray_targets(views[None], depth[None])[1][0]
        plane = samples.planes[index]
        expert = Embedded(network, KnownPlane(plane))
        inputs = encode(views[None], torch.tensor([FIRST_VIEW]), plane[None])
        predicted = network(inputs).front_depth[0]
        scores["front_depth"].append((predicted - front).abs()[front > 0].mean().item())
        straight = torch.cat([views[0, :3] / views[0, 3:].clamp_min(1e-3), views[0, 3:]]).permute(1, 2, 0)
        truth = samples.test_views(index)
        seen = render(expert.lift(straight, GAUSSIANS), orbit(TEST_AZIMUTHS_DEG, size=truth.shape[1]))
        white = on_white(truth)
        error = (seen.rgb - white).square().mean((1, 2, 3))
        scores["psnr"].append((-10 * error.log10()).mean().item())
        scores["iou"].append(silhouette_iou(seen.alpha, truth[..., 3]).mean().item())
        rows.append(torch.cat([on_white(straight), *seen.rgb, *white], 1))
    draw_sheet(out, rows[:: max(1, len(rows) // 12)])
    return {name: sum(values) / len(values) for name, values in scores.items()}


def main(argv: Sequence[str]) -> None:
    """Train until the time is over."""
    prog = "python -m train.embedded.train_reconstruction"
    launch(train, tyro.cli(ReconstructionOptions, prog=prog, args=argv))


def train(rank: int, options: ReconstructionOptions) -> None:
    """The work of one process."""
    seed = options.seed + 7919 * rank
    source, holdout_source = example_sources(options, seed)
    trainer = Trainer(options, rank, Network, load_initial_weights)
    random = generator(trainer.device, seed + trainer.seen)
    views = holdout_source.sample_views(min(HOLDOUT_SIZE, 8 * options.batch))
    holdout = make_examples(views, generator(trainer.device, 0))
    samples = Samples(options.data, validation=True)
    draw, count = repeated(source.sample_views, options.reuse), options.together * options.batch
    trainer.fit(
        amortized(lambda: make_examples(draw(count), random).split(options.batch)),
        compute_losses,
        lambda network: validate(network, holdout, samples, options.out),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
