"""Clips out of an image matrix: what the variants of FVD differ in.

An image matrix holds a moving object seen from V cameras at F times, [V, F, H, W, 3]. SV4D 2.0 (Sec. 5)
names four ways to read clips from it; the order of scanning and the treatment of short clips are not stated
there, and what is taken here is said with each function.
"""

from __future__ import annotations

import torch
from torch import Tensor


def over_frames(matrix: Tensor) -> Tensor:
    """A clip for each view, all frames: FVD and FVD-F. [V, F, H, W, 3] of [V, F, H, W, 3]."""
    return matrix


def first_frames(matrix: Tensor, count: int = 16) -> Tensor:
    """A clip for each view, its first frames: FVD-16. [V, ≤ 16, H, W, 3].

    AR4D (Table 1) does not state how FVD-16 is made; it is the only number given for a model that is limited
    to 21 frames. Taken: the first 16 frames.
    """
    return matrix[:, :count]


def over_views(matrix: Tensor) -> Tensor:
    """A clip for each frame, all views in the order of the matrix: FVD-V. [F, V, H, W, 3]."""
    return matrix.transpose(0, 1)


def diagonal(matrix: Tensor) -> Tensor:
    """One clip along the diagonal: FVD-Diag. [1, F, H, W, 3].

    Where the matrix is not square, frame k is taken from view k mod V, because the views close a circle and
    time does not.
    """
    frames = torch.arange(matrix.shape[1])
    return matrix[frames % matrix.shape[0], frames][None]


def zigzag(matrix: Tensor) -> Tensor:
    """One clip of all images in bidirectional raster order: FV4D. [1, V · F, H, W, 3].

    Taken: a row is a view; every second row is read backwards, so that neighbours in the clip are neighbours
    in the matrix.
    """
    rows = [row if index % 2 == 0 else row.flip(0) for index, row in enumerate(matrix)]
    return torch.cat(rows)[None]


def lengthened(clips: Tensor, least: int) -> Tensor:
    """Clips of at least `least` images: shorter ones show every image equally often.

    The network of FVD needs ten images and SV4D 2.0 evaluates eight views, without saying how. Taken: each
    image is repeated the smallest number of times that suffices, in the truth as well.
    """
    length = clips.shape[1]
    return clips.repeat_interleave(-(-least // length), dim=1) if length < least else clips
