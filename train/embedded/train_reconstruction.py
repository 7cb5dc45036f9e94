"""Trains the embedded expert.

    python -m train.embedded.train_reconstruction --data DIR --out RUN --minutes 60

The same command runs on a CPU (bfloat16 where it has it) and on a GPU. Stopped, it goes on from
RUN/last.pt. RUN/curve.jsonl and curve.png tell how the validation improves with the examples seen.
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
from ar4d.evaluation.ground_truth import on_white
from ar4d.evaluation.metrics import silhouette_iou
from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.expert import FIRST, part_of
from ar4d.experts.embedded.facing import KnownPlane
from ar4d.experts.embedded.network import BEHIND, TINTED, Network, Prediction, encode
from ar4d.rendering import render
from train.data.device_constants import constant
from train.data.example_source import KEPT, generator, in_parts, repeated, sources
from train.data.examples import Examples, examples, targets
from train.data.samples import TEST_AZIMUTHS_DEG, Samples
from train.loop import Losses, Options, Trainer, in_processes
from train.report import draw_sheet

GAUSSIANS = 8000  # of the validated objects
RENDERED = 24  # of them


@dataclass(frozen=True)
class ExpertOptions(Options):
    """Train the embedded expert."""


def losses(network: Network, batch: Examples) -> Losses:
    """The prediction's, in bfloat16."""
    with torch.autocast(batch.inputs.device.type, torch.bfloat16):
        prediction = network(batch.inputs)
    return wrongs(prediction, batch)


def begin_with(network: Network, weights: dict[str, Tensor]) -> None:
    """Takes over the weights of an earlier run; what they lack stays as it is."""
    network.load_state_dict(network.state_dict() | part_of(weights, "network."))


def wrongs(prediction: Prediction, batch: Examples) -> Losses:
    """What a prediction is held to, pixel by pixel: nothing is rendered.

    Absolute errors want the likeliest depth and colour rather than the mean of several, and
    cross-entropy wants matter or none: a squared error on renders would be content with fog.
    """
    there = (batch.front > 0).float()
    count = there.sum().clamp_min(1)
    front = ((prediction.front - batch.front).abs() * there).sum() / count
    slopes = (_slopes(prediction.front, there) - _slopes(batch.front, there)).abs().sum() / count
    # Bins are weighted by their width: what is thick is as wrong as it is visible from the side.
    edges = constant((0.0, *BEHIND), there.device).diff().sqrt()
    weight = (edges / edges.mean())[:, None, None]
    entropy = F.binary_cross_entropy_with_logits(prediction.solid, batch.solid, reduction="none")
    solid = (weight * entropy).mean(1)
    far = torch.bucketize(batch.places[..., 2].contiguous(), constant(TINTED[1:-1], there.device))
    known = constant(TINTED, there.device)
    share = ((batch.places[..., 2] - known[far]) / (known[far + 1] - known[far])).clamp(0, 1)
    layer = (2 * (far + share) + 1) / len(TINTED) - 1  # grid_sample: layers are cells
    grid = torch.cat([batch.places[..., :2], layer[..., None]], -1)[:, None, None]
    volume = prediction.tints.transpose(1, 2)  # [B, 3, layers, H, W]
    colors = F.grid_sample(volume, grid, padding_mode="border", align_corners=False)[:, :, 0, 0]
    wrong = (colors.transpose(1, 2) - batch.colors).abs().mean(-1)
    return {
        "front": 8 * front,
        "slope": 4 * slopes,
        "solid": 2 * (solid * there).sum() / count,
        "rgb": 1.5 * (wrong * batch.counts).sum() / batch.counts.sum().clamp_min(1),
    }


def _slopes(depth: Tensor, there: Tensor) -> Tensor:
    """Differences of neighbouring depths, kept where both are on the object and on one surface."""
    parts = []
    for axis in (-1, -2):
        size = depth.shape[axis]
        after, before = depth.narrow(axis, 1, size - 1), depth.narrow(axis, 0, size - 1)
        both = there.narrow(axis, 1, size - 1) * there.narrow(axis, 0, size - 1)
        parts.append(((after - before).clamp(-0.1, 0.1) * both).flatten(1))
    return torch.cat(parts, 1)


@torch.no_grad()
def validate(network: Network, kept: Examples, samples: Samples, out: Path) -> dict[str, float]:
    """On meshes that no training shot shows: unseen views of rendered samples, if any; the losses."""
    terms = {f"kept_{name}": float(value) for name, value in losses(network, kept).items()}
    return (unseen_views(network, samples, out) if len(samples) else {}) | terms


def unseen_views(network: Network, samples: Samples, out: Path) -> dict[str, float]:
    """The expert, told the samples' planes: what other cameras see, and the error of the front's depth."""
    network = deepcopy(network).to("cpu")
    count = min(RENDERED, len(samples))
    chosen = [round(k * (len(samples) - 1) / max(count - 1, 1)) for k in range(count)]
    scores: dict[str, list[float]] = {"psnr": [], "iou": [], "front": []}
    rows = []
    for index in chosen:
        views, depth = samples.views(index, 0)
        front = targets(views[None], depth[None])[1][0]
        plane = samples.planes[index]
        expert = Embedded(network, KnownPlane(plane))
        guess = network(encode(views[None], torch.tensor([FIRST]), plane[None])).front[0]
        scores["front"].append((guess - front).abs()[front > 0].mean().item())
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
    """Trains until the time is over."""
    in_processes(
        train, tyro.cli(ExpertOptions, prog="python -m train.embedded.train_reconstruction", args=argv)
    )


def train(rank: int, options: ExpertOptions) -> None:
    """What each process does."""
    seed = options.seed + 7919 * rank
    source, others = sources(options, seed)
    trainer = Trainer(options, rank, Network, begin_with)
    random = generator(trainer.device, seed + trainer.seen)
    kept = examples(others.shots(min(KEPT, 8 * options.batch)), generator(trainer.device, 0))
    samples = Samples(options.data, validation=True)
    take = repeated(source.shots, options.reuse)
    trainer.fit(
        in_parts(lambda: examples(take(options.together * options.batch), random).split(options.batch)),
        losses,
        lambda network: validate(network, kept, samples, options.out),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
