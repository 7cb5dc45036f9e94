"""Windows of times for the 4D VQ-VAE and groups for STAR, from a pool of grids that are used several times.

Photographing a grid costs as much as a step of training. Every use differs: the times of the window, which
of the views is the clip's, left and right, and the order of the colours.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.star.config import CodecConfig
from train.data.grid_batch import GridBatch
from train.data.point_cloud_dataset import PointCloudDataset
from train.data.point_clouds import stack_clouds
from train.data.procedural.clouds import procedural_clouds
from train.loop import Options
from train.star.shards import joined, stored_grids

PAIRS = 8
"""Pairs of neighbouring poses of an object: sixteen poses at equal distances in a cycle."""
STRIDES = (1, 2)
"""Poses between neighbouring frames, of which one is drawn for each grid."""
HOLDOUT_SEED = 10**9
"""Seed of objects that no run trains on."""
COLOR_ORDERS = tuple(itertools.permutations(range(3)))


@dataclass(frozen=True)
class DataOptions(Options):
    """What both networks are trained on."""

    reuse: int = 16
    lr: float = 1e-3
    grids: tuple[Path, ...] = ()
    """Folders of stored grids (train.grid.make_grids) to train on, in place of procedural objects."""
    holdout_grids: tuple[Path, ...] = ()
    """Folders of stored grids that a run with `grids` is validated on."""
    holdout: int = 12
    """Number of objects that a run is validated on."""


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
        photograph: Callable[[], GridBatch] | None,
        num_frames: int,
        held: int,
        reuse: int,
        random: torch.Generator,
        stored: Sequence[GridBatch] = (),
    ) -> None:
        """
        Args:
            photograph: makes one new grid [1, V, num_frames, …] at the size of the network's pictures; None:
                the grids are `stored`, and their flow is unknown.
            num_frames: of each grid.
            held: grids in the pool.
            reuse: mean number of uses of a grid.
            random: decides everything but the photographs.
        """
        self.photograph, self.num_frames, self.reuse, self.random = photograph, num_frames, reuse, random
        self.grids: deque[GridBatch] = deque(stored, maxlen=held)
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
        moving = self.photograph is not None
        following = torch.tensor([moving and b == a + 1 for a, b in itertools.pairwise(order)]).bool()
        parts = [_picked(grid, order) for grid in chosen]
        pictures, depth, flow = (torch.cat(part) for part in zip(*parts, strict=True))
        return Windows(pictures, depth, flow, following)

    def sequences(self, count: int) -> tuple[Tensor, Tensor | None]:
        """All times of grids: pictures [B, V, T, 4, S, S], and their guesses where the grids have them."""
        grids = [self._varied(self._grid()) for _ in range(count)]
        guesses = [grid.guess.float() for grid in grids if grid.guess is not None]
        pictures = torch.cat([grid.rgba.float() for grid in grids])
        return pictures, torch.cat(guesses) if guesses else None

    def _grid(self) -> GridBatch:
        """A random grid of the pool, after its due new ones."""
        if self.photograph is not None:
            self._renew(self.photograph)
        return self.grids[self._number(len(self.grids))]

    def _renew(self, photograph: Callable[[], GridBatch]) -> None:
        self.credit += 1 / self.reuse
        while self.credit >= 1 or not self.grids:
            made = photograph()
            halves = {name: getattr(made, name).half() for name in ("rgba", "depth", "flow")}
            self.grids.append(replace(made, **halves))
            self.credit = max(self.credit - 1, 0)

    def _varied(self, grid: GridBatch) -> GridBatch:
        """The grid turned by a quarter, mirrored, and in other colours, each at random.

        A grid with a guess, which is made from its first view, is not turned.
        """
        views, guess = grid.rgba.shape[1], grid.guess
        order = torch.arange(views)
        if guess is None:
            order = order.roll(-self._number(views))
        colors = [*COLOR_ORDERS[self._number(len(COLOR_ORDERS))], 3]
        rgba, depth, flow = grid.rgba[:, order][:, :, :, colors], grid.depth[:, order], grid.flow[:, order]
        if guess is not None:
            guess = guess[:, :, :, colors]
        if self._number(2):  # the view at azimuth A becomes the one at -A
            back = -torch.arange(views) % views
            rgba, depth, flow = rgba[:, back].flip(-1), depth[:, back].flip(-1), flow[:, back].flip(-1)
            flow = torch.stack([-flow[:, :, :, 0], flow[:, :, :, 1]], 3)
            guess = None if guess is None else guess[:, back].flip(-1)
        return GridBatch(rgba, depth, flow, grid.azimuths_deg, grid.planes, guess)

    def _number(self, end: int) -> int:
        return int(torch.randint(end, (1,), generator=self.random))


def _picked(grid: GridBatch, order: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, depths and flow of some times of a grid."""
    sources = [min(k, grid.flow.shape[2] - 1) for k in order[:-1]]
    return grid.rgba[:, :, order].float(), grid.depth[:, :, order].float(), grid.flow[:, :, sources].float()


def window_pools(
    options: DataOptions, config: CodecConfig, num_frames: int, seed: int, guess: bool = False
) -> tuple[WindowPool, GridBatch]:
    """A pool of training windows, and grids of objects that no run trains on.

    Clouds are made in forked processes, so it must be called before a GPU is used.

    Args:
        num_frames: of a grid that is not stored.
        seed: of the training data.
        guess: whether guesses are wanted (and no depth), which only stored grids have.

    Raises:
        UserError: a folder of stored grids holds none that fit.
    """
    random, azimuths_deg, size = torch.Generator().manual_seed(seed), config.azimuths_deg, config.size
    holdout = max(options.holdout, 1)
    if options.grids:
        rays = 0 if guess else config.grid
        made = stored_grids(options.grids, azimuths_deg, size, rays, guess)
        others = stored_grids(options.holdout_grids, azimuths_deg, size, rays, guess)
        if not others:
            raise UserError("Training on stored grids needs others to validate on: give --holdout-grids.")
        kept_grids = others[:: max(len(others) // holdout, 1)][:holdout]
        pool = WindowPool(None, made[0].rgba.shape[2], len(made), 1, random, made)
        return pool, joined(kept_grids)
    if guess:
        raise UserError("Guesses are stored with grids: give their folders with --grids.")
    device = options.torch_device
    clouds = procedural_clouds(options.procedural, PAIRS, options.points, options.seed)
    dataset = PointCloudDataset(stack_clouds(clouds, device), seed)
    kept_clouds = procedural_clouds(holdout, PAIRS, options.points, HOLDOUT_SEED)
    kept = PointCloudDataset(stack_clouds(kept_clouds, device), 1)

    def grid(source: PointCloudDataset, count: int) -> GridBatch:
        made = source.sample_grids(count, azimuths_deg, num_frames, STRIDES)
        return made.shrunk(made.rgba.shape[-1] // size)

    pool = WindowPool(lambda: grid(dataset, 1), num_frames, 64, options.reuse, random)
    return pool, grid(kept, holdout)
