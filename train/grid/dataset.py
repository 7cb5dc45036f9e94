"""Grids from shards, and what of them a training step is shown."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.grid.conditions import Condition, Given, column, refine, to_network, transfer
from ar4d.experts.grid.config import GridConfig
from train.data.affine import affine_views
from train.data.batch_rng import BatchRng
from train.data.examples import MIRRORED_VIEWS, ColorJitter, corrupt_views

KNOWN_BLOCK_PROB = 0.25
"""Probability that the first half of the times is known in all views, as when windows slide on."""
FREEZE_TIME_PROB = 0.1
"""Probability that a batch shows one time alone: the base model's second sort of video."""


@dataclass(frozen=True)
class Shares:
    """How often each condition is shown; they sum to 1."""

    refine: float = 0.5
    column: float = 0.25
    transfer: float = 0.25


@dataclass(frozen=True)
class GridExamples:
    """A batch as the network sees it."""

    clean: Tensor  # [B, V, T, 4, S, S] in [-1, 1]
    given: Tensor  # [B, V, T, 4, S, S]
    flags: Tensor  # [B, V, T, 2]


class GridShards:
    """All shards of one or more folders, in memory as bytes."""

    def __init__(self, folders: tuple[Path, ...], limit: int | None = None, size: int | None = None) -> None:
        """
        Args:
            folders: as `train.grid.make_grids` writes them.
            limit: largest number of grids.
            size: width and height to which pictures are shrunk; None: theirs.

        Raises:
            UserError: there are none, or they are not a multiple of that size.
        """
        paths = [path for folder in folders for path in sorted(folder.glob("grids_*.npz"))]
        if not paths:
            raise UserError(
                f"No grids in {', '.join(map(str, folders)) or 'no folder'}; make some with "
                "python -m train.grid.make_grids."
            )
        arrays = [np.load(path) for path in paths]
        self.truth, self.guess = (
            _shrunk(torch.from_numpy(np.concatenate([array[name] for array in arrays])[:limit]), size)
            for name in ("truth", "guess")
        )  # [N, V, T, S, S, 4] uint8, premultiplied

    def __len__(self) -> int:
        return len(self.truth)

    def pictures(self, rows: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Truth and guess [B, V, T', 4, S, S] in [0, 1], premultiplied, of grids [B] at times [T']."""
        return tuple(  # pyright: ignore[reportReturnType]
            array[rows][:, :, times].permute(0, 1, 2, 5, 3, 4).float() / 255
            for array in (self.truth, self.guess)
        )


def _shrunk(pictures: Tensor, size: int | None) -> Tensor:
    """Bytes [..., S, S, 4] at another size, by area averages."""
    factor, rest = divmod(pictures.shape[-2], size or pictures.shape[-2])
    if rest or factor == 0:
        raise UserError(
            f"These grids have {pictures.shape[-2]} pixels and the network {size}; make others with "
            f"--size {size}."
        )
    if factor == 1:
        return pictures
    cells = pictures.unflatten(-3, (-1, factor)).unflatten(-2, (-1, factor))  # [..., s, f, s, f, 4]
    return cells.float().mean((-4, -2)).round().byte()


class GridDataset:
    """Draws batches at random, each of one condition."""

    def __init__(
        self, shards: GridShards, config: GridConfig, shares: Shares, affine: float, seed: int
    ) -> None:
        """
        Args:
            affine: share of the batches that are pseudo-4D clips.
        """
        self.shards, self.config, self.affine = shards, config, affine
        self.random = torch.Generator().manual_seed(seed)
        self.weights = torch.tensor([getattr(shares, field.name) for field in fields(Shares)])

    @torch.no_grad()
    def draw(self, count: int) -> GridExamples:
        """A batch of `count` grids."""
        random, config = self.random, self.config
        rng = BatchRng(count, torch.device("cpu"), random)
        rows = torch.randint(len(self.shards), (count,), generator=random)
        truth, guess = self._views(rows, rng)
        mirror = rng.bernoulli(0.5)
        jitter = ColorJitter.random(rng)
        truth, guess = (jittered(mirrored(x, mirror), jitter) for x in (truth, guess))
        chosen: Condition = ("refine", "column", "transfer")[
            int(torch.multinomial(self.weights, 1, generator=random))
        ]
        known = config.times // 2 if self._chance(KNOWN_BLOCK_PROB) else 0
        if self._chance(FREEZE_TIME_PROB):
            truth, guess, chosen, known = truth[:, :, :1], guess[:, :, :1], "refine", 0
        return examples(truth, guess, chosen, known, rng)

    def _views(self, rows: Tensor, rng: BatchRng) -> tuple[Tensor, Tensor]:
        """Truth and guess at random consecutive times, forwards or backwards."""
        available, needed = self.shards.truth.shape[2], self.config.times
        start = int(torch.randint(available - needed + 1, (), generator=self.random))
        times = torch.arange(start, start + needed)
        if self._chance(0.5):
            times = times.flip(0)
        truth, guess = self.shards.pictures(rows, times)
        if self._chance(self.affine):
            truth = affine_views(truth[:, 0], self.config.views, rng)
            guess = truth[:, :1].expand_as(truth)
        return truth, guess

    def _chance(self, probability: float) -> bool:
        return float(torch.rand((), generator=self.random)) < probability


def examples(
    truth: Tensor, guess: Tensor, condition: Condition, known: int, rng: BatchRng | None
) -> GridExamples:
    """A batch from premultiplied pictures [B, V, T, 4, S, S] in [0, 1].

    Args:
        known: times, the first ones, of which all views are known.
        rng: spoils the hint of the condition "column"; None: it is the guess as it is.
    """
    clean = to_network(truth)
    shown = given_of(truth, guess, condition, rng)
    if known:
        shown.show(slice(0, known), clean)
    return GridExamples(clean, shown.pictures, shown.flags)


def given_of(truth: Tensor, guess: Tensor, condition: Condition, rng: BatchRng | None) -> Given:
    """What a condition shows of truth and guess."""
    clip = to_network(truth[:, 0])
    if condition == "transfer":
        return transfer(clip, to_network(truth[:, :, 0]))
    if condition == "column":
        hint = guess[:, :, 0] if rng is None else corrupt_views(guess[:, :, 0], rng)
        return column(clip, to_network(hint))
    return refine(clip, to_network(guess))


def mirrored(views: Tensor, mirror: Tensor) -> Tensor:
    """Views [B, V, ..., S] flipped where `mirror` [B], so that the left side takes the right one's place."""
    flipped = views[:, list(MIRRORED_VIEWS)].flip(-1)
    return torch.where(mirror.view(-1, *(1,) * (views.ndim - 1)), flipped, views)


def jittered(views: Tensor, jitter: ColorJitter) -> Tensor:
    """Views [B, V, T, 4, S, S] recoloured, each grid in one way."""
    return jitter(views.flatten(1, 2)).unflatten(1, views.shape[1:3])
