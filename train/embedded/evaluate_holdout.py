"""What the embedded expert makes of objects that no run trains on: for choosing its constants.

    python -m train.embedded.evaluate_holdout [--actors actors.npz] [--planes true found]

Each object is shown once, from its first view; the other three say how right its sides are. Benchmarks are
for measuring, these objects for deciding.
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
from ar4d.evaluation import Scores, cells, compare, mean
from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.facing import KnownPlane
from ar4d.experts.embedded.network import IN_SIZE
from ar4d.rendering import render
from train.data.actor_clouds import clouds_of_actors
from train.data.dataset import Studio
from train.data.example_source import KEPT_OBJECTS, PAIRS
from train.data.point_clouds import gather
from train.data.procedural.clouds import made_up_clouds

AT_ONCE = 8
COLUMNS = ("PSNR", "IoU", "roughness", "fog")

Planes = Literal["true", "found"]


@dataclass(frozen=True)
class Options:
    """Measure the embedded expert at azimuths 90, 180 and 270 of kept objects."""

    actors: Path | None = None
    """What train.data.pack_actors made: its kept meshes; made-up objects by default."""
    planes: tuple[Planes, ...] = ("true", "found")
    """Whether the network is told the true plane of symmetry or has to find it in the picture."""
    pictures: int = 64
    """Of so many objects in random poses, builds and lights."""
    points: int = 20000
    """Of an object's cloud."""
    gaussians: int = 8000
    """About so many for every picture."""
    seed: int = 77


def main(argv: Sequence[str]) -> None:
    """Prints a line for each kind of planes."""
    options = tyro.cli(Options, prog="python -m train.embedded.evaluate_holdout", args=argv)
    shown = list(_pictures(options))
    print(f"{len(shown)} pictures: {', '.join(COLUMNS)}")
    for planes in options.planes:
        total = mean([measure(views, plane, planes, options.gaussians) for views, plane in shown])
        assert total is not None
        named = cells(total)
        print(f"planes {planes}: {', '.join(named[title] for title in COLUMNS)}", flush=True)


def _pictures(options: Options) -> Iterator[tuple[Tensor, Tensor]]:
    """Premultiplied views [4, 4, S, S] of symmetric objects, and their planes [4]."""
    if options.actors is None:
        made = made_up_clouds(options.pictures, PAIRS, options.points, KEPT_OBJECTS)
    else:
        made = clouds_of_actors(options.actors, options.points, validation=True)
        if not made:
            raise UserError(f"{options.actors} keeps no meshes; pack it without --no-keep.")
    studio = Studio(gather([cloud for cloud in made if cloud.symmetric], torch.device("cpu")), options.seed)
    for _ in range(0, options.pictures, AT_ONCE):
        shots = studio.shots(AT_ONCE)
        yield from zip(shots.views, shots.planes, strict=True)


def measure(views: Tensor, plane: Tensor, planes: Planes, gaussians: int) -> Scores:
    """What the expert makes of the first of the views [4, 4, S, S], seen where the others are."""
    expert = Embedded.load(torch.device("cpu"))
    if planes == "true":
        expert = replace(expert, planes_of=KnownPlane(plane))
    straight = views.permute(0, 2, 3, 1).clone()
    straight[..., :3] /= straight[..., 3:].clamp_min(1e-3)
    rendering = render(expert.lift(straight[0], gaussians), orbit(ORTHOGONAL_AZIMUTHS_DEG[1:], size=IN_SIZE))
    return compare(rendering, straight[1:], None)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"kept: {error}")
