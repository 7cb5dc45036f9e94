"""Measures the embedded expert on objects that no run trains on, for choosing its constants.

    python -m train.embedded.evaluate_holdout [--actors actors.npz] [--planes true found]

Each object is shown once, from its first view; the other three views are compared with renders of the
result. Constants are chosen on these objects, so that the benchmark's objects only measure.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, orbit
from ar4d.errors import UserError
from ar4d.evaluation import Scores, compare, format_scores, mean, ready
from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.facing import KnownPlane
from ar4d.experts.embedded.network import IN_SIZE
from ar4d.rendering import render
from train.data.actor_clouds import clouds_of_actors
from train.data.example_source import HOLDOUT_OBJECT_SEED, PAIRS
from train.data.point_cloud_dataset import PointCloudDataset
from train.data.point_clouds import stack_clouds
from train.data.procedural.clouds import procedural_clouds

BATCH = 8
"""Objects that are rendered at a time."""
COLUMNS = ("PSNR", "IoU", "roughness", "fog")

Planes = Literal["true", "found"]


@dataclass(frozen=True)
class Options:
    """Measure the embedded expert at azimuths 90, 180 and 270 of holdout objects."""

    actors: Path | None = None
    """Output of train.data.pack_actors, for its validation meshes; by default procedural objects."""
    planes: tuple[Planes, ...] = ("true", "found")
    """Whether the network is given the true plane of symmetry or has to find it in the picture."""
    pictures: int = 64
    """Number of pictures, each of an object in a random pose, build and light."""
    points: int = 20000
    """Points of every object's cloud."""
    gaussians: int = 8000
    """About how many Gaussians to make of every picture."""
    seed: int = 77


def main(argv: Sequence[str]) -> None:
    """Print a line for each kind of planes."""
    options = tyro.cli(Options, prog="python -m train.embedded.evaluate_holdout", args=argv)
    pictures = list(_pictures(options))
    print(f"{len(pictures)} pictures: {', '.join(COLUMNS)}")
    for planes in options.planes:
        total = mean([measure(views, plane, planes, options.gaussians) for views, plane in pictures])
        assert total is not None
        formatted = format_scores(total)
        print(f"planes {planes}: {', '.join(formatted[title] for title in COLUMNS)}", flush=True)


def _pictures(options: Options) -> Iterator[tuple[Tensor, Tensor]]:
    """Premultiplied views [4, 4, S, S] of symmetric objects, and their planes [4]."""
    if options.actors is None:
        clouds = procedural_clouds(options.pictures, PAIRS, options.points, HOLDOUT_OBJECT_SEED)
    else:
        clouds = clouds_of_actors(options.actors, options.points, validation=True)
        if not clouds:
            raise UserError(
                f"{options.actors} has no validation meshes; pack it again, without --no-holdout."
            )
    symmetric = [cloud for cloud in clouds if cloud.symmetric]
    dataset = PointCloudDataset(stack_clouds(symmetric, torch.device("cpu")), options.seed)
    for _ in range(0, options.pictures, BATCH):
        batch = dataset.sample_views(BATCH)
        yield from zip(batch.views, batch.planes, strict=True)


def measure(views: Tensor, plane: Tensor, planes: Planes, gaussians: int) -> Scores:
    """Scores of the expert's result for the first of the views [4, 4, S, S], at the other three."""
    expert = Embedded.load(torch.device("cpu"))
    if planes == "true":
        expert = replace(expert, plane_finder=KnownPlane(plane))
    straight = views.permute(0, 2, 3, 1).clone()
    straight[..., :3] /= straight[..., 3:].clamp_min(1e-3)
    rendering = render(expert.lift(straight[0], gaussians), orbit(ORTHOGONAL_AZIMUTHS_DEG[1:], size=IN_SIZE))
    return compare(rendering, straight[1:], ready({})[0])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"evaluate_holdout: {error}")
