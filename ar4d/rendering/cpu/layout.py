"""Sizes, thresholds and columns that the kernels share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TILE = 32  # px
CHUNK = 1024  # Gaussians that a thread takes at once

# Where the parts of a splat begin, in `splats` [C, N, 10] and in the gradients of each.
MEAN, SHAPE, OPACITY, COLOR, DEPTH = 0, 2, 5, 6, 9
SPLAT_SIZE = 10

NEAR = np.float32(0.01)  # world units in front of the camera
BLUR = np.float32(0.3)  # px², added to both variances of a splat
ALPHA_MIN = np.float32(1 / 255)  # less is not drawn
ALPHA_MAX = np.float32(0.999)
T_MIN = np.float32(1e-4)  # a pixel's transmittance stays above it

ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)

# Columns of the table of views [C, 6], which may differ in size: their pixels follow one another in flat
# images, and so do their tiles.
WIDTH, HEIGHT, FIRST_PIXEL, FIRST_TILE, TILES_X, TILES_Y = 0, 1, 2, 3, 4, 5


def table_of_views(sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    """The table [C, 6] of views of the given (width, height)."""
    table = np.zeros((len(sizes), 6), np.int64)
    pixel = tile = 0
    for row, (width, height) in zip(table, sizes, strict=True):
        tiles_x, tiles_y = -(-width // TILE), -(-height // TILE)
        row[:] = width, height, pixel, tile, tiles_x, tiles_y
        pixel, tile = pixel + width * height, tile + tiles_x * tiles_y
    return table


def num_pixels(views: np.ndarray) -> int:
    return int((views[:, WIDTH] * views[:, HEIGHT]).sum())


def num_tiles(views: np.ndarray) -> int:
    return int((views[:, TILES_X] * views[:, TILES_Y]).sum())
