"""Windows of times for the 4D VQ-VAE and groups for STAR, from a pool of grids that are used several times.

Photographing a grid costs as much as a step of training. Every use differs: the times of the window, which
of the views is the clip's, left and right, and the order of the colours.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from train.data.grid_batch import GridBatch
from train.data.point_cloud_dataset import PointCloudDataset
from train.data.point_clouds import stack_clouds
from train.data.procedural.clouds import procedural_clouds
from train.loop import Options

PAIRS = 8
"""Pairs of neighbouring poses of an object: sixteen poses at equal distances in a cycle."""
STRIDES = (1, 2)
"""Poses between neighbouring frames, of which one is drawn for each grid."""
HOLDOUT_SEED = 10**9
"""Seed of objects that no run trains on."""
COLOR_ORDERS = tuple(itertools.permutations(range(3)))


@dataclass(frozen=True)
class Windows:
    """B windows of T times in V views."""

    pictures: Tensor  # [B, V, T, 4, S, S] in [0, 1], premultiplied
    depth: Tensor  # [B, V, T, S, S] world units, 0 outside the object
    flow: Tensor  # [B, V, T - 1, 2, S, S] pixels, from each time to the next
    followed: Tensor  # [T - 1] bool: the next time is the next frame, so that `flow` is known


class WindowPool:
    """Grids of a dataset, each drawn about `reuse` times before a new one takes its place."""

    def __init__(
        self,
        photograph: Callable[[], GridBatch],
        num_frames: int,
        held: int,
        reuse: int,
        random: torch.Generator,
    ) -> None:
        """
        Args:
            photograph: makes one new grid [1, V, num_frames, …] at the size of the network's pictures.
            num_frames: of each grid.
            held: grids in the pool.
            reuse: mean number of uses of a grid.
            random: decides everything but the photographs.
        """
        self.photograph, self.num_frames, self.reuse, self.random = photograph, num_frames, reuse, random
        self.grids: deque[GridBatch] = deque(maxlen=held)
        self.credit = 0.0

    def windows(self, count: int, times: int) -> Windows:
        """Windows of a first time and consecutive later ones, each of another grid.

        Args:
            count: of windows.
            times: of each window.
        """
        chosen = [self._varied(self._grid()) for _ in range(count)]
        first = self._number(self.num_frames)
        start = self._number(self.num_frames - times + 2) if times > 1 else 0
        order = [first, *range(start, start + times - 1)]
        following = torch.tensor([b == a + 1 for a, b in itertools.pairwise(order)], dtype=torch.bool)
        parts = [_picked(grid, order) for grid in chosen]
        pictures, depth, flow = (torch.cat(part) for part in zip(*parts, strict=True))
        return Windows(pictures, depth, flow, following)

    def sequences(self, count: int, times: int) -> Tensor:
        """Consecutive times of grids: pictures [B, V, T, 4, S, S]."""
        start = self._number(self.num_frames - times + 1)
        grids = [self._varied(self._grid()) for _ in range(count)]
        return torch.cat([grid.rgba.float()[:, :, start : start + times] for grid in grids])

    def _grid(self) -> GridBatch:
        """A random grid of the pool, after its due new ones."""
        self.credit += 1 / self.reuse
        while self.credit >= 1 or not self.grids:
            made = self.photograph()
            halves = {name: getattr(made, name).half() for name in ("rgba", "depth", "flow")}
            self.grids.append(replace(made, **halves))
            self.credit = max(self.credit - 1, 0)
        return self.grids[self._number(len(self.grids))]

    def _varied(self, grid: GridBatch) -> GridBatch:
        """The grid turned by a quarter, mirrored, and in other colours, each at random."""
        views = grid.rgba.shape[1]
        order = torch.arange(views).roll(-self._number(views))
        colors = [*COLOR_ORDERS[self._number(len(COLOR_ORDERS))], 3]
        rgba, depth, flow = grid.rgba[:, order][:, :, :, colors], grid.depth[:, order], grid.flow[:, order]
        if self._number(2):  # the view at azimuth A becomes the one at -A
            back = -torch.arange(views) % views
            rgba, depth, flow = rgba[:, back].flip(-1), depth[:, back].flip(-1), flow[:, back].flip(-1)
            flow = torch.stack([-flow[:, :, :, 0], flow[:, :, :, 1]], 3)
        return GridBatch(rgba, depth, flow, grid.azimuths_deg, grid.planes)

    def _number(self, end: int) -> int:
        return int(torch.randint(end, (1,), generator=self.random))


def _picked(grid: GridBatch, order: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, depths and flow of some times of a grid."""
    sources = [min(k, grid.flow.shape[2] - 1) for k in order[:-1]]
    return grid.rgba[:, :, order].float(), grid.depth[:, :, order].float(), grid.flow[:, :, sources].float()


def window_pools(
    options: Options, azimuths_deg: tuple[float, ...], size: int, num_frames: int, holdout: int, seed: int
) -> tuple[WindowPool, GridBatch]:
    """A pool of training windows, and grids of objects that no run trains on.

    Clouds are made in forked processes, so it must be called before a GPU is used.

    Args:
        options: `procedural` objects of `points` points, `reuse`.
        azimuths_deg: of the views.
        size: of the pictures, pixels.
        num_frames: of a grid.
        holdout: number of grids to keep.
        seed: of the training data.
    """
    device = options.torch_device
    clouds = procedural_clouds(options.procedural, PAIRS, options.points, options.seed)
    dataset = PointCloudDataset(stack_clouds(clouds, device), seed)
    kept_clouds = procedural_clouds(max(holdout, 1), PAIRS, options.points, HOLDOUT_SEED)
    kept = PointCloudDataset(stack_clouds(kept_clouds, device), 1)

    def grid(source: PointCloudDataset, count: int) -> GridBatch:
        made = source.sample_grids(count, azimuths_deg, num_frames, STRIDES)
        return made.shrunk(made.rgba.shape[-1] // size)

    pool = WindowPool(
        lambda: grid(dataset, 1), num_frames, 64, options.reuse, torch.Generator().manual_seed(seed)
    )
    return pool, grid(kept, max(holdout, 1))
