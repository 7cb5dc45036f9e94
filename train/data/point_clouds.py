"""Objects as point clouds on their surfaces, bound to bones so that any device poses them quickly.

The objects are actors (`train.data.actor_clouds`) or procedural (`train.data.procedural.clouds`). All face
along +z, and a symmetric object's plane of symmetry is x = 0.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ANIMAL, OTHER_ACTOR, PROCEDURAL = range(3)
MAX_BONES = 255

Job = TypeVar("Job")


@dataclass(frozen=True)
class PointCloud:
    """P points of one object, and its pairs of neighbouring poses."""

    name: str
    symmetric: bool
    rest: NDArray[np.float32]  # [P, 3]
    normals: NDArray[np.float32]  # [P, 3] at rest, not normalised
    bones: NDArray[np.uint8]  # [P, 4]
    weights: NDArray[np.float16]  # [P, 4]
    colors: NDArray[np.uint8]  # [P, 4] red, green, blue and the share of the team colour added to them
    matrices: NDArray[np.float32]  # [2 pairs, bones, 3, 4]

    @property
    def kind(self) -> int:
        """ANIMAL, OTHER_ACTOR or PROCEDURAL."""
        if self.name.startswith("shape/"):
            return PROCEDURAL
        return ANIMAL if self.name.startswith("fauna/") else OTHER_ACTOR


@dataclass(frozen=True)
class PointClouds:
    """N objects on a device, their bones padded to the same number."""

    kind: Tensor  # [N] ANIMAL, OTHER_ACTOR or PROCEDURAL
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
        """Pose objects [B] in frames [B] by linear blend skinning.

        Returns:
            Points [B, P, 3] and normals [B, P, 3], which are transformed by the cofactors of the blended
            matrices and not normalised.
        """
        moves = self.matrices[objects, frames]  # [B, bones, 12]
        bones, weights = self.bones[objects].long(), self.weights[objects].float()
        blend: Tensor | int = sum(
            weights[..., k, None] * moves.gather(1, bones[..., k, None].expand(-1, -1, 12))
            for k in range(bones.shape[-1])
        )
        assert isinstance(blend, Tensor)
        blend = blend.unflatten(-1, (3, 4))
        points = (blend[..., :3] * self.rest[objects][..., None, :]).sum(-1) + blend[..., 3]
        a, b, c = blend[..., :3].unbind(-1)
        cofactors = torch.stack(
            [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], -1
        )
        return points, (cofactors * self.normals[objects][..., None, :]).sum(-1)


def stack_clouds(clouds: Iterable[PointCloud], device: torch.device) -> PointClouds:
    """Stack clouds of equally many points and frames on a device; those with too many bones are left out."""
    kept = [cloud for cloud in clouds if cloud.matrices.shape[1] <= MAX_BONES]
    most = max(cloud.matrices.shape[1] for cloud in kept)
    moves = torch.zeros(len(kept), len(kept[0].matrices), most, 12)
    for row, cloud in zip(moves, kept, strict=True):
        row[:, : cloud.matrices.shape[1]] = torch.from_numpy(cloud.matrices).flatten(2)

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(cloud, name) for cloud in kept])).to(device)

    return PointClouds(
        symmetric=torch.tensor([cloud.symmetric for cloud in kept], device=device),
        kind=torch.tensor([cloud.kind for cloud in kept], device=device),
        matrices=moves.to(device),
        **{name: stacked(name) for name in ("rest", "normals", "bones", "weights", "colors")},
    )


def map_in_processes(make: Callable[[Job], PointCloud], jobs: Iterable[Job]) -> Iterator[PointCloud]:
    """Make clouds on all cores, in the order of the jobs.

    The processes are forked, so it must be called before a GPU is used.
    """
    with multiprocessing.get_context("fork").Pool(min(os.cpu_count() or 1, 16)) as pool:
        yield from pool.imap(make, jobs, chunksize=4)
