"""What the network is given of a grid, and in which range it sees pictures (4Real-Video, Sec. 3; the masks
are ours).

Row 0 is always the clip, and known. Two flags tell of every other cell whether it is known and whether it is
guessed; cells that are neither are empty. Three conditions are trained:

- refine: every unknown cell holds a guess of that frame alone;
- column: the first time holds renders of Gaussians or a guess, other times nothing;
- transfer: the first time is known in all views, and other times hold a copy of it: the paper's own task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Condition = Literal["refine", "column", "transfer"]
KNOWN, GUESSED = 0, 1
FLAGS = 2


@dataclass(frozen=True, eq=False)
class Given:
    """What stands in the cells of B grids."""

    pictures: Tensor  # [B, V, T, 4, S, S] in [-1, 1]; 0 in empty cells
    flags: Tensor  # [B, V, T, 2] whether a cell is known, and whether it is guessed

    def show(self, times: slice, pictures: Tensor) -> None:
        """Make all views of some times known, with these pictures [B, V, T, 4, S, S] of the whole grid."""
        self.pictures[:, :, times] = pictures[:, :, times]
        self.flags[:, :, times, KNOWN] = 1
        self.flags[:, :, times, GUESSED] = 0


def refine(clip: Tensor, guess: Tensor) -> Given:
    """
    Args:
        clip: [B, T, 4, S, S] in [-1, 1].
        guess: [B, V, T, 4, S, S].
    """
    given = _with_clip(clip, guess.clone())
    given.flags[:, 1:, :, GUESSED] = 1
    return given


def column(clip: Tensor, hint: Tensor) -> Given:
    """
    Args:
        clip: [B, T, 4, S, S] in [-1, 1].
        hint: [B, V, 4, S, S] of the first time, not the truth.
    """
    views = hint.shape[1]
    pictures = clip.new_zeros(len(clip), views, *clip.shape[1:])
    pictures[:, :, 0] = hint
    given = _with_clip(clip, pictures)
    given.flags[:, 1:, 0, GUESSED] = 1
    return given


def transfer(clip: Tensor, frozen: Tensor) -> Given:
    """
    Args:
        clip: [B, T, 4, S, S] in [-1, 1].
        frozen: [B, V, 4, S, S] the first time, known.
    """
    given = _with_clip(clip, frozen[:, :, None].expand(-1, -1, clip.shape[1], -1, -1, -1).clone())
    given.flags[:, :, 0, KNOWN] = 1
    given.flags[:, 1:, 1:, GUESSED] = 1
    return given


def _with_clip(clip: Tensor, pictures: Tensor) -> Given:
    pictures[:, 0] = clip
    flags = pictures.new_zeros(*pictures.shape[:3], FLAGS)
    flags[:, 0, :, KNOWN] = 1
    return Given(pictures, flags)


def to_network(premultiplied: Tensor) -> Tensor:
    """Colour on white and alpha in [-1, 1] of premultiplied pictures [..., 4, S, S] in [0, 1]."""
    rgb, alpha = premultiplied.split([3, 1], -3)
    return 2 * torch.cat([rgb + 1 - alpha, alpha], -3) - 1


def from_network(pictures: Tensor) -> Tensor:
    """Premultiplied pictures [..., 4, S, S] in [0, 1] of the network's; the inverse of `to_network`."""
    white, alpha = ((pictures.clamp(-1, 1) + 1) / 2).split([3, 1], -3)
    return torch.cat([(white - (1 - alpha)).clamp_min(0).minimum(alpha), alpha], -3)
