"""What the network is shown: the seen part of a square picture, at the size that it was trained with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.splatt3r.config import PATCH, SIDE

SEEN = 0.5  # alpha above which a pixel shows the scene


@dataclass(frozen=True)
class Box:
    """The smallest rectangle around the seen pixels of a square picture."""

    top: int
    left: int
    height: int
    width: int

    @staticmethod
    def around(seen: Tensor) -> Box:
        """Finds the box of a mask [S, S].

        Raises:
            UserError: nothing is seen.
        """
        if not seen.any():
            raise UserError("The frame is empty; choose another part of the clip.")
        rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
        top, left = int(rows[0]), int(columns[0])
        return Box(top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left)

    def cut(self, picture: Tensor) -> Tensor:
        """The part of [S, S, …] that lies in the box."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]

    def shown_size(self, side: int = SIDE) -> tuple[int, int]:
        """Height and width for the network: the longer is `side`, both are multiples of a token."""
        scale = side / max(self.height, self.width) / PATCH
        height, width = (max(1, round(length * scale)) * PATCH for length in (self.height, self.width))
        return height, width


def shown_picture(rgba: Tensor, box: Box, side: int = SIDE) -> Tensor:
    """[3, H, W] in [0, 1] of the box of [S, S, 4]; unseen pixels take the mean colour of the seen ones."""
    part = box.cut(rgba)
    seen = part[..., 3] > SEEN
    rgb = torch.where(seen[..., None], part[..., :3], part[..., :3][seen].mean(0))
    return resized(rgb, *box.shown_size(side)).permute(2, 0, 1)


def resized(rgb: Tensor, height: int, width: int) -> Tensor:
    """[h, w, 3] in [0, 1] at another size, with the filters that the network was trained behind."""
    shrinks = max(rgb.shape[:2]) > max(height, width)
    kernel = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    pixels = (255 * rgb).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    small = np.asarray(Image.fromarray(pixels).resize((width, height), kernel))
    return torch.from_numpy(small.copy()).to(rgb.device).float() / 255
