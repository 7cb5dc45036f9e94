"""Front-to-back blending, one tile at a time.

A tile is one flat array. A row of it holds one plane after another (first the transmittance T),
so that the data of a pixel lie at constant distances from each other, and LLVM turns the loops over
`lanes` into vector code. A pixel that is closed keeps its T negated.
"""

from __future__ import annotations

import math

import numpy as np

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take
from ar4d.rendering.cpu.layout import (
    ALPHA_MAX,
    ALPHA_MIN,
    COLOR,
    DEPTH,
    HALF,
    MEAN,
    ONE,
    OPACITY,
    SHAPE,
    T_MIN,
    TILE,
    ZERO,
)

LANES = 8  # pixels of a row are blended in whole vectors, those beyond the box for nothing
PLANE = TILE + LANES  # floats of one plane in a row
CENTERS = np.arange(PLANE, dtype=np.float32) + HALF
HALF_LOG2E = np.float32(0.5 / math.log(2))  # turns -½ q into the exponent of 2
CHECK_EVERY = 32  # splats between two looks at whether the whole tile is closed

U = np.uint64  # unsigned indices spare Numba's test for negative ones
ROW = 5 * PLANE  # T and what is blended so far: red, green, blue, depth
R, G, B, D = U(PLANE), U(2 * PLANE), U(3 * PLANE), U(4 * PLANE)


@part
def exp2_negative(x):
    """2^x for x ≤ 0 to 2e-7 relative, in operations that vectorise: 2^n · p(f), |f| ≤ 1/2."""
    t = max(x, np.float32(-120))
    n = np.int32(t - HALF)
    f = t - np.float32(n)
    p = np.float32(1.3264727e-3)
    p = p * f + np.float32(9.6715130e-3)
    p = p * f + np.float32(5.5507336e-2)
    p = p * f + np.float32(2.4022242e-1)
    p = p * f + np.float32(6.9314700e-1)
    p = p * f + ONE
    return p * np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)


@part
def tile_frame(item, tiles_y, tiles_x, height, width):
    """Camera, row and column of a tile; its left and top pixel; its width and height in the image."""
    ty, tx = item // tiles_x % tiles_y, item % tiles_x
    left, top = tx * TILE, ty * TILE
    return item // (tiles_y * tiles_x), ty, tx, left, top, min(TILE, width - left), min(TILE, height - top)


@part
def open_tile(tile, row, width, height):
    """Nothing is blended yet; what lies outside the image is closed from the start."""
    for k in range(tile.shape[0]):
        tile[k] = ZERO
    for y in range(TILE):
        for x in range(PLANE):
            tile[y * row + x] = ONE if x < width and y < height else -ONE


@part
def is_closed(tile, row, width, height):
    for y in range(height):
        for x in range(width):
            if tile[y * row + x] > ZERO:
                return False
    return True


@part
def splat_in_tile(splats, c, i, left, top):
    """Mean relative to the tile, shape, opacity, colour and depth."""
    return (
        (splats[c, i, MEAN] - np.float32(left), splats[c, i, MEAN + 1] - np.float32(top)),
        (splats[c, i, SHAPE], splats[c, i, SHAPE + 1], splats[c, i, SHAPE + 2]),
        splats[c, i, OPACITY],
        (splats[c, i, COLOR], splats[c, i, COLOR + 1], splats[c, i, COLOR + 2], splats[c, i, DEPTH]),
    )


@part
def box_in_tile(boxes, c, i, left, top):
    """The part of a splat's box (x0, x1, y0, y1) inside the tile, relative to it."""
    return (
        max(boxes[c, i, 0] - left, 0),
        min(boxes[c, i, 1] - left, TILE),
        max(boxes[c, i, 2] - top, 0),
        min(boxes[c, i, 3] - top, TILE),
    )


@part
def blend_splat(tile, splat, box):
    """Blends one splat into the tile."""
    x0, x1, y0, y1 = box
    (mean_x, mean_y), (a, m, b), opacity, (red, green, blue, depth) = splat
    lanes = U((x1 - x0 + LANES - 1) // LANES) * U(LANES)
    square = -HALF_LOG2E * a
    for y in range(y0, y1):
        dy = mean_y - (np.float32(y) + HALF)
        middle, constant = mean_x - m * dy, -HALF_LOG2E * b * dy * dy
        o = U(y * ROW + x0)
        for k in range(lanes):
            u = middle - CENTERS[U(x0) + k]  # dx - m dy
            exponent = square * u * u + constant
            alpha = min(ALPHA_MAX, opacity * exp2_negative(exponent))
            T = tile[o + k]
            next_T = T * (ONE - alpha)
            visible = alpha >= ALPHA_MIN
            kept = visible & (next_T > T_MIN)
            weight = alpha * T if kept else ZERO
            tile[o + k] = next_T if kept else (-abs(T) if visible else T)
            tile[o + R + k] += weight * red
            tile[o + G + k] += weight * green
            tile[o + B + k] += weight * blue
            tile[o + D + k] += weight * depth


@kernel
def blend_tiles(counter, tile_ends, ids, splats, boxes, backdrop, rgb, depth, alpha):
    """Fills rgb [C, H, W, 3] (the backdrop [3] shining through), depth and alpha [C, H, W]."""
    ends = tile_ends.reshape(-1)
    tile = np.empty(TILE * ROW, np.float32)
    while True:
        item = take(counter)
        if item >= ends.shape[0]:
            return
        c, _, _, left, top, width, height = tile_frame(
            item, tile_ends.shape[1], tile_ends.shape[2], alpha.shape[1], alpha.shape[2]
        )
        open_tile(tile, ROW, width, height)
        first = ends[item - 1] if item > 0 else 0
        for k in range(first, ends[item]):
            if (k - first) % CHECK_EVERY == CHECK_EVERY - 1 and is_closed(tile, ROW, width, height):
                break
            i = ids[k]
            blend_splat(tile, splat_in_tile(splats, c, i, left, top), box_in_tile(boxes, c, i, left, top))
        for y in range(height):
            for x in range(width):
                o = U(y * ROW + x)
                T = abs(tile[o])
                rgb[c, top + y, left + x, 0] = tile[o + R] + T * backdrop[0]
                rgb[c, top + y, left + x, 1] = tile[o + G] + T * backdrop[1]
                rgb[c, top + y, left + x, 2] = tile[o + B] + T * backdrop[2]
                depth[c, top + y, left + x] = tile[o + D]
                alpha[c, top + y, left + x] = ONE - T
