"""Stored grids for the trainings: no picture is rendered while a network learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ar4d.errors import UserError
from train.data.grid_batch import GridBatch
from train.star.hull import hull_depth


def stored_grids(
    folders: tuple[Path, ...], azimuths_deg: tuple[float, ...], size: int, grid: int, guess: bool = False
) -> list[GridBatch]:
    """All grids of shards, in half precision, with the depths of their visual hulls and without flow.

    Args:
        folders: as `train.grid.make_grids` writes them.
        azimuths_deg: of the views.
        size: of the pictures, pixels.
        grid: rays along each side of a picture whose depth is wanted; 0: no depth.
        guess: whether to keep the guesses.

    Raises:
        UserError: a folder holds none, or its grids have other views or sizes.
    """
    made = []
    for folder in folders:
        paths = sorted(folder.glob("grids_*.npz"))
        if not paths:
            raise UserError(f"No grids in {folder}; make some with python -m train.grid.make_grids.")
        for path in paths:
            stored = np.load(path)
            truth = torch.from_numpy(stored["truth"])  # [N, V, T, S, S, 4] uint8, premultiplied
            if truth.shape[1] != len(azimuths_deg) or truth.shape[-2] != size:
                raise UserError(
                    f"The grids of {path} have {truth.shape[1]} views of {truth.shape[-2]} pixels; the "
                    f"network needs {len(azimuths_deg)} of {size}. Make others with --size {size}."
                )
            guesses = torch.from_numpy(stored["guess"]) if guess else [None] * len(truth)
            made += [
                _grid(pictures, guessed, azimuths_deg, grid)
                for pictures, guessed in zip(truth, guesses, strict=True)
            ]
    return made


def _grid(pictures: Tensor, guess: Tensor | None, azimuths_deg: tuple[float, ...], grid: int) -> GridBatch:
    rgba = _channels_first(pictures)
    views, times, _, size = rgba.shape[1:5]
    nothing = torch.zeros((), dtype=torch.half)
    depth = nothing.expand(1, views, times, size, size)
    if grid:
        depth = hull_depth(rgba[0, :, :, 3].transpose(0, 1), azimuths_deg, grid).transpose(0, 1)[None].half()
    return GridBatch(
        rgba,
        depth,
        nothing.expand(1, views, times - 1, 2, size, size),
        torch.tensor(azimuths_deg),
        torch.zeros(1, 4),
        None if guess is None else _channels_first(guess),
    )


def _channels_first(pictures: Tensor) -> Tensor:
    """[1, V, T, 4, S, S] in [0, 1], half precision, of bytes [V, T, S, S, 4]."""
    return (pictures.permute(0, 1, 4, 2, 3).float() / 255)[None].half()


def joined(grids: list[GridBatch]) -> GridBatch:
    """Grids as one batch."""
    rgba, depth, flow, planes = (
        torch.cat([getattr(grid, name) for grid in grids]) for name in ("rgba", "depth", "flow", "planes")
    )
    guesses = [grid.guess for grid in grids if grid.guess is not None]
    guess = torch.cat(guesses) if guesses else None
    return GridBatch(rgba, depth, flow, grids[0].azimuths_deg, planes, guess)
