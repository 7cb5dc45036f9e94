"""Compares the facing network's reported probabilities with how often it is right, on holdout objects.

    python -m train.embedded.calibration [--frames 8] [--turning 0 2]

The clips show procedural objects that no run trains on.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import tyro
from torch import Tensor

from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.facing import (
    FacingNetwork,
    NetworkPlaneFinder,
    estimate_facing,
    smooth_over_clip,
)
from ar4d.experts.embedded.network import encode_picture
from ar4d.experts.embedded.symmetry import upright_planes
from train.data.batch_rng import BatchRng
from train.data.crop_batch import CropBatch, planes_of_views
from train.data.example_source import HOLDOUT_OBJECT_SEED
from train.data.framing import frame_objects
from train.data.point_cloud_dataset import FRAMING_STRIDE, random_light, tinted_albedo
from train.data.point_clouds import PointClouds, stack_clouds
from train.data.procedural.clouds import procedural_clouds
from train.data.splatting import rotations_about_y, splat_crops
from train.data.warp import Warp

FILL = 0.7
"""Share of the picture that an object takes."""
BATCH = 8
"""Clips that are rendered at a time."""
CORRECT_DEG = 22.5
"""Largest error of a correct answer: what `estimate_facing` reports the probability of."""
BINS = (0.0, 0.4, 0.6, 0.8, 0.9, 1.01)
"""Edges of the bins of reported probabilities."""


@dataclass(frozen=True)
class Options:
    """Compare the facing network's reported probabilities with how often it is right."""

    objects: int = 120
    """Procedural objects; each is seen from four sides."""
    frames: int = 8
    """Frames of each clip, which shows one cycle of the object's movement."""
    turning: tuple[float, ...] = (0.0, 2.0)
    """Degrees by which objects turn from frame to frame, either way."""
    points: int = 14000
    """Points of every object's cloud."""
    seed: int = 3


def main(argv: Sequence[str]) -> None:
    """Print a line for each bin of reported probabilities."""
    options = tyro.cli(Options, prog="python -m train.embedded.calibration", args=argv)
    pairs = math.ceil(options.frames / 2)
    procedural = procedural_clouds(options.objects, pairs, options.points, HOLDOUT_OBJECT_SEED)
    clouds = stack_clouds([cloud for cloud in procedural if cloud.symmetric], torch.device("cpu"))
    finder = Embedded.load(torch.device("cpu")).plane_finder
    assert isinstance(finder, NetworkPlaneFinder)
    random = torch.Generator().manual_seed(options.seed)
    probabilities, correct = [], []
    for turning_deg in options.turning:
        for clip in render_clips(clouds, options.frames, turning_deg, random):
            for probability, error_deg in estimates(finder.network, clip):
                probabilities.append(probability)
                correct.append(error_deg <= CORRECT_DEG)
    print(table(torch.tensor(probabilities), torch.tensor(correct)))


@torch.no_grad()
def render_clips(
    clouds: PointClouds, frames: int, turning_deg: float, random: torch.Generator
) -> Iterator[list[CropBatch]]:
    """Render a clip of every object from four sides; yields the crops of each frame, a batch at a time."""
    for first in range(0, len(clouds), BATCH):
        objects = torch.arange(first, min(first + BATCH, len(clouds)))
        rng = BatchRng(len(objects), objects.device, random)
        start, sign = 2 * math.pi * rng.uniform(), torch.where(rng.bernoulli(0.5), 1.0, -1.0)
        light = random_light(rng)
        albedo = tinted_albedo(clouds.colors[objects], light)
        rest, _ = clouds.posed(objects, torch.zeros_like(objects))
        warp = Warp.random(rest, torch.ones(len(objects)), rng)
        turned = (warp(rest) @ rotations_about_y(start).mT)[:, ::FRAMING_STRIDE]
        scale, center = frame_objects(turned, torch.full_like(start, FILL))
        clip = []
        for frame in range(frames):
            yaw = start + sign * math.radians(turning_deg) * frame
            points, normals = clouds.posed(objects, torch.full_like(objects, frame))
            turn = rotations_about_y(yaw).mT
            placed = scale[:, None, None] * (warp(points) @ turn - center[:, None])
            offset = -scale * (center[:, 0] * yaw.cos() - center[:, 2] * yaw.sin())
            crops = splat_crops(placed, normals @ turn, albedo, light)
            clip.append(CropBatch.from_crops(crops, planes_of_views(upright_planes(yaw, offset))))
        yield clip


@torch.no_grad()
def estimates(network: FacingNetwork, clip: Sequence[CropBatch]) -> Iterator[tuple[float, float]]:
    """For every object and side, the probability reported for the first frame and its error in degrees."""
    logits = torch.stack([network(encode_picture(frame.pictures))[0] for frame in clip], 1)
    c, s = clip[0].planes[:, :2].unbind(1)
    true_deg = torch.rad2deg(torch.atan2(s, c)) / 2
    for frames, true in zip(logits, true_deg.tolist(), strict=True):
        azimuth_deg, probability = estimate_facing(smooth_over_clip(frames)[0], len(clip))
        yield probability, abs((azimuth_deg - true + 90) % 180 - 90)


def table(probabilities: Tensor, correct: Tensor) -> str:
    """Mean probability and share of correct answers, in all and by bin, of probabilities [N]."""
    lines = [
        f"{len(probabilities)} answers: {probabilities.mean():.2f} sure, {correct.float().mean():.2f} right"
    ]
    for low, high in itertools.pairwise(BINS):
        inside = (probabilities >= low) & (probabilities < high)
        if inside.any():
            means = f"{probabilities[inside].mean():.2f} sure, {correct[inside].float().mean():.2f} right"
            lines.append(f"  {int(inside.sum()):4d}: {means}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
