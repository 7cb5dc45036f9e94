"""A clip as SV4D 2.0 was trained to see it, and its views back in the clip's own frame.

The subject lies on white, and its farthest pixel at 0.9 of the half side. Zooming about the middle of the
picture is a longer focal length and nothing else, so that views drawn at that zoom and shrunk by it again
belong to the clip's own cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ar4d.clip.matting.components import follow_subject
from ar4d.clip.matting.morphology import dilate
from ar4d.errors import UserError
from ar4d.images import on_white, to_uint8

FILL = 0.9
VISIBLE = 0.05  # alpha from which a pixel is the subject's
OPAQUE_AT = 8  # grey levels below white from which a drawn pixel is the subject's alone
RIM = 3  # pixels of the window by which the subject's mask is grown to keep its soft border


@dataclass(frozen=True)
class Zoom:
    """A square of `side` pixels of the clip around its pictures' middle; it may reach beyond them."""

    clip_size: int  # S, width and height of the clip's pictures
    half: int  # distance from the middle to the farthest edge of the subject's box
    size: int  # width and height of the pictures that the networks see

    @property
    def side(self) -> int:
        return int(2 * self.half / FILL)

    @property
    def corner(self) -> int:
        """Where the clip's picture begins in the square; negative where the square cuts it."""
        return self.side // 2 - self.clip_size // 2


def find_zoom(alpha: Tensor, size: int) -> Zoom:
    """One zoom for the whole clip, after `preprocess_video` of Stability-AI/generative-models.

    Args:
        alpha: [F, S, S] in [0, 1].
        size: width and height of the pictures that the networks see.

    Raises:
        UserError: nothing is visible in any frame.
    """
    covered = (alpha > VISIBLE).any(0)
    if not covered.any():
        raise UserError("No frame of the clip shows anything: every pixel is transparent; cut it out again.")
    middle = alpha.shape[-1] // 2
    edges = [int(e) for axis in (0, 1) for e in _extent(covered.any(axis))]
    return Zoom(alpha.shape[-1], max(abs(edge - middle) for edge in edges), size)


def _extent(line: Tensor) -> tuple[int, int]:
    cells = line.nonzero().flatten()
    return int(cells[0]), int(cells[-1]) + 1


def zoomed(rgba: Tensor, zoom: Zoom) -> Tensor:
    """[N, S, S, 4] straight alpha in [0, 1] becomes [N, 3, size, size] in [0, 1] on white."""
    middle, half = zoom.clip_size // 2, zoom.half
    square = (middle - half, middle - half, middle + half, middle + half)
    corner = zoom.side // 2 - half
    pictures = []
    for picture in to_uint8(rgba):
        canvas = Image.new("RGBA", (zoom.side, zoom.side))
        canvas.paste(Image.fromarray(picture).crop(square), (corner, corner))
        pictures.append(np.asarray(canvas.resize((zoom.size, zoom.size), Image.Resampling.LANCZOS)))
    return on_white(torch.from_numpy(np.stack(pictures)).float() / 255).permute(0, 3, 1, 2)


def restored(rgba: Tensor, zoom: Zoom) -> Tensor:
    """[N, size, size, 4] straight alpha becomes [N, S, S, 4]: what `zoomed` enlarged is shrunk again."""
    pictures = []
    for picture in to_uint8(rgba):
        square = Image.fromarray(picture).resize((zoom.side, zoom.side), Image.Resampling.LANCZOS)
        place = (zoom.corner, zoom.corner, zoom.corner + zoom.clip_size, zoom.corner + zoom.clip_size)
        pictures.append(np.asarray(square.crop(place)))
    return torch.from_numpy(np.stack(pictures)).float() / 255


def cut_out(rgb: Tensor) -> Tensor:
    """Takes the subject of one view off the white on which the networks drew it.

    Alpha is a pixel's distance from white, whole from `OPAQUE_AT` grey levels on, and 0 off the subject;
    the colour is what gives the pixel again on white.

    Args:
        rgb: [F, 3, S, S] in [0, 1].

    Returns:
        [F, S, S, 4] straight alpha in [0, 1].
    """
    distance = 255 * (1 - rgb.amin(1))  # [F, S, S]
    alpha = (distance / OPAQUE_AT).clamp(0, 1)
    subject = follow_subject((alpha > 0.5).cpu().numpy())
    alpha = alpha * torch.from_numpy(dilate(subject, RIM)).to(alpha)
    color = 1 - (1 - rgb.permute(0, 2, 3, 1)) / alpha[..., None].clamp(min=1 / 255)
    return torch.cat([color.clamp(0, 1), alpha[..., None]], dim=-1)
