"""Objects as clouds of points on their surfaces, each point hung on bones: quickly posed on any device.

They are those of actors (`train.data.actor_clouds`) or of made-up objects
(`train.data.procedural.clouds`). All face along z, and what has a left and a right has them on both
sides of the plane x = 0.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ANIMAL, OTHER_ACTOR, MADE_UP = range(3)


@dataclass(frozen=True)
class Cloud:
    """P points of one object and its pairs of neighbouring poses."""

    name: str
    symmetric: bool
    rest: NDArray[np.float32]  # [P, 3]
    normals: NDArray[np.float32]  # [P, 3] at rest, any length
    bones: NDArray[np.uint8]  # [P, 4]
    weights: NDArray[np.float16]  # [P, 4]
    colors: NDArray[np.uint8]  # [P, 4] red, green, blue and the share of the team colour behind them
    matrices: NDArray[np.float32]  # [2 pairs, bones, 3, 4]

    @property
    def kind(self) -> int:
        if self.name.startswith("shape/"):
            return MADE_UP
        return ANIMAL if self.name.startswith("fauna/") else OTHER_ACTOR


@dataclass(frozen=True)
class Clouds:
    """N objects on a device, their bones padded to the same number."""

    kind: Tensor  # [N] ANIMAL, OTHER_ACTOR or MADE_UP
    symmetric: Tensor  # [N] bool
    rest: Tensor  # [N, P, 3]
    normals: Tensor  # [N, P, 3]
    bones: Tensor  # [N, P, 4]
    weights: Tensor  # [N, P, 4]
    colors: Tensor  # [N, P, 4]
    matrices: Tensor  # [N, F, B, 12]

    def __len__(self) -> int:
        return len(self.symmetric)

    def posed(self, objects: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Points and normals [B, P, 3] of objects [B] in frames [B]; normals have any length."""
        moves = self.matrices[objects, frames]  # [B, bones, 12]
        bones, weights = self.bones[objects].long(), self.weights[objects].float()
        blend = sum(
            weights[..., k, None] * moves.gather(1, bones[..., k, None].expand(-1, -1, 12))
            for k in range(bones.shape[-1])
        )
        assert isinstance(blend, Tensor)
        blend = blend.unflatten(-1, (3, 4))
        points = (blend[..., :3] * self.rest[objects][..., None, :]).sum(-1) + blend[..., 3]
        a, b, c = blend[..., :3].unbind(-1)
        turned = torch.stack(
            [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], -1
        )
        return points, (turned * self.normals[objects][..., None, :]).sum(-1)


def gather(clouds: Iterable[Cloud], device: torch.device) -> Clouds:
    """Sends clouds of equally many points and frames to a device."""
    kept = [cloud for cloud in clouds if cloud.matrices.shape[1] <= 255]
    most = max(cloud.matrices.shape[1] for cloud in kept)
    moves = torch.zeros(len(kept), len(kept[0].matrices), most, 12)
    for row, cloud in zip(moves, kept, strict=True):
        row[:, : cloud.matrices.shape[1]] = torch.from_numpy(cloud.matrices).flatten(2)

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(cloud, name) for cloud in kept])).to(device)

    return Clouds(
        symmetric=torch.tensor([cloud.symmetric for cloud in kept], device=device),
        kind=torch.tensor([cloud.kind for cloud in kept], device=device),
        matrices=moves.to(device),
        **{name: stacked(name) for name in ("rest", "normals", "bones", "weights", "colors")},
    )


def in_processes(make, jobs: Iterable[tuple]) -> Iterator[Cloud]:  # type: ignore[type-arg, no-untyped-def]
    """On all cores; forked before anything is on a GPU."""
    with multiprocessing.get_context("fork").Pool(min(os.cpu_count() or 1, 16)) as pool:
        yield from pool.imap(make, jobs, chunksize=4)
