"""Renders grids of views and times for the grid expert, with the embedded expert's guess of every cell.

    python -m train.grid.make_grids --actors actors.npz --procedural 400 --out grids --count 800
    python -m train.grid.make_grids --actors actors.npz --out holdout --count 64 --holdout

The guess costs more than a training step, so it is made once per grid and kept; training reuses a grid by
mirroring, recolouring, reversing and choosing other times. The command continues where an earlier one of the
same seed ended. Pack the actors with `--pairs 8`, so that their poses are equal steps of a cycle.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG
from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.network import IN_SIZE
from ar4d.experts.grid.guess import guess_frame
from train.data.actor_clouds import clouds_of_actors
from train.data.example_source import HOLDOUT_OBJECT_SEED
from train.data.point_cloud_dataset import PointCloudDataset
from train.data.point_clouds import stack_clouds
from train.data.procedural.clouds import procedural_clouds

PAIRS = 8
"""Pairs of neighbouring poses of a procedural object: a cycle in sixteen equal steps."""
STRIDES = (1, 2)
"""Sixteenths of a cycle from one frame to the next."""
SHARD = 20
"""Grids per file."""


@dataclass(frozen=True)
class Options:
    """Render grids of views and times, and guess them."""

    out: Path
    """Folder of the shards, grids_NNN.npz."""
    actors: Path | None = None
    """Output of train.data.pack_actors --pairs 8."""
    procedural: int = 200
    """Number of procedural objects."""
    count: int = 500
    """Number of grids; each shows a random object in a random build, light and pose."""
    times: int = 4
    """Frames of a grid."""
    size: int = 64
    """Width and height in pixels; it divides 128."""
    points: int = 9000
    """Points of every object's cloud."""
    holdout: bool = False
    """Show objects that no run trains on: validation meshes, or procedural objects of other seeds."""
    seed: int = 0


def main(argv: Sequence[str]) -> None:
    """Write the shards that are missing."""
    options = tyro.cli(Options, prog="python -m train.grid.make_grids", args=argv)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    clouds = _clouds(options)
    expert = Embedded.load(torch.device("cpu"))
    began = time.perf_counter()
    for number in range(-(-options.count // SHARD)):
        path = options.out / f"grids_{number:03}.npz"
        if path.exists():
            continue
        dataset = PointCloudDataset(clouds, options.seed + 7919 * number + (1 if options.holdout else 0))
        count = min(SHARD, options.count - number * SHARD)
        grids = [make_grid(dataset, expert, options.times, options.size) for _ in range(count)]
        truth, guess, planes = (torch.stack(parts).numpy() for parts in zip(*grids, strict=True))
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, truth=truth, guess=guess, planes=planes)
        temporary.replace(path)
        print(f"{path.name}: {count} grids, {time.perf_counter() - began:.0f} s", flush=True)


@torch.no_grad()
def make_grid(
    dataset: PointCloudDataset, expert: Embedded, times: int, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """One object's grid and the guess of it, uint8 [V, T, S, S, 4] premultiplied, and its plane [4]."""
    batch = dataset.sample_grids(1, ORTHOGONAL_AZIMUTHS_DEG, times, STRIDES)
    clip = batch.rgba[0, 0].permute(0, 2, 3, 1)  # [T, 128, 128, 4]
    straight = torch.cat([clip[..., :3] / clip[..., 3:].clamp_min(1e-3), clip[..., 3:]], -1).clamp(0, 1)
    watching = expert.with_clip(straight)
    guess = torch.stack([guess_frame(watching, frame, size) for frame in straight], 1)
    truth = batch.shrunk(IN_SIZE // size).rgba[0]
    return _to_bytes(truth), _to_bytes(guess), batch.planes[0]


def _to_bytes(pictures: Tensor) -> Tensor:
    """uint8 [V, T, S, S, 4] of [V, T, 4, S, S] in [0, 1]."""
    return (255 * pictures.clamp(0, 1)).round().byte().permute(0, 1, 3, 4, 2).contiguous()


def _clouds(options: Options):
    first = HOLDOUT_OBJECT_SEED if options.holdout else options.seed
    clouds = procedural_clouds(options.procedural, PAIRS, options.points, first) if options.procedural else []
    if options.actors is not None:
        clouds += clouds_of_actors(options.actors, options.points, validation=options.holdout)
    return stack_clouds(clouds, torch.device("cpu"))


if __name__ == "__main__":
    main(sys.argv[1:])
