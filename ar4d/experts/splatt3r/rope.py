"""Rotary position embedding in two dimensions (RoFormer, arXiv 2104.09864; CroCo v2, arXiv 2211.10408).

The first half of a head's width is turned by a token's row, the second half by its column.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ar4d.experts.splatt3r.config import ROPE_BASE


def frequencies(width: int) -> Tensor:
    """[width / 2] angles per position, base^(-2i / width) for i = 0, 1, …; float32."""
    return 1.0 / ROPE_BASE ** (torch.arange(0, width, 2, dtype=torch.float32) / width)


@dataclass(frozen=True, eq=False)
class Rope:
    """The cosines and sines by which queries and keys are turned."""

    cos: Tensor  # [N, head width]
    sin: Tensor  # [N, head width]

    @staticmethod
    def grid(height: int, width: int, head_width: int, like: Tensor) -> Rope:
        """Builds the tables for tokens that lie row by row in a grid.

        Args:
            head_width: channels of one head, a multiple of 4.
            like: a tensor of the device and type in which the tokens are computed.
        """
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        turns = frequencies(head_width // 2)
        angles = torch.cat(
            [axis.flatten()[:, None] * turns for axis in (rows, rows, columns, columns)], dim=-1
        )
        # At least float32: half precision cannot hold the angles of far tokens.
        angles = angles.to(like.device, torch.promote_types(like.dtype, torch.float32))
        return Rope(angles.cos().to(like.dtype), angles.sin().to(like.dtype))

    def turn(self, x: Tensor) -> Tensor:
        """Turns [..., N, head width]; the pairs are channel i and i + head width / 4 of either half."""
        first, second = x.unflatten(-1, (2, 2, -1)).unbind(-2)
        return x * self.cos + torch.stack([-second, first], dim=-2).flatten(-3) * self.sin
