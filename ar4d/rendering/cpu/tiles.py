"""Front-to-back blending, one tile at a time.

A tile is one flat array. A row of it holds one plane after another (first the transmittance T), so that the
data of a pixel lie at constant distances from each other, and vectors of neighbouring pixels can be loaded
(lanes.py). A pixel that is closed keeps its T negated; where all pixels of a vector are closed, a splat
leaves them out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take
from ar4d.rendering.cpu.lanes import LANES, TABLE, Code, Value, put_constants
from ar4d.rendering.cpu.layout import (
    ALPHA_MAX,
    ALPHA_MIN,
    COLOR,
    DEPTH,
    FIRST_PIXEL,
    FIRST_TILE,
    HEIGHT,
    MEAN,
    ONE,
    OPACITY,
    SHAPE,
    T_MIN,
    TILE,
    TILES_X,
    WIDTH,
    ZERO,
)

PLANE = TILE + LANES  # floats of one plane in a row: whole vectors, those beyond a box for nothing
HALF_LOG2E = 0.5 / math.log(2)  # turns -½ q into the exponent of 2
CHECK_EVERY = 32  # splats between two looks at whether the whole tile is closed
U = np.uint64  # unsigned indices spare Numba's test for negative ones
ROW = 5 * PLANE  # T and what is blended so far: red, green, blue, depth
R, G, B, D = U(PLANE), U(2 * PLANE), U(3 * PLANE), U(4 * PLANE)
SPLAT = types.UniTuple(types.float32, 10)
"""mean x, y; a, m, b; opacity; red, green, blue, depth."""


def blended(
    code: Code, T: Value, exponent: Value, opacity: Value
) -> tuple[Value, Value, Value, Value, Value]:
    """Writes the code that blends a splat into pixels of transmittance T.

    Returns:
        α before and after it is capped, the weight, where the splat is kept, and the next T.
    """
    uncapped, most = opacity * exponent.exp2(code), code.constant(float(ALPHA_MAX))
    alpha = uncapped.test(">", most).choose(most, uncapped)
    passed = T * (code.constant(1.0) - alpha)
    visible = alpha.test(">=", code.constant(float(ALPHA_MIN)))
    kept = visible & passed.test(">", code.constant(float(T_MIN)))
    weight = kept.choose(alpha * T, 0.0)
    closed = T.test(">", 0.0).choose(0.0 - T, T)
    return uncapped, alpha, weight, kept, kept.choose(passed, visible.choose(closed, T))


def _blend_rows(typing_context, tile, x0, x1, y0, y1, splat):
    """Inside kernels, blends a splat into the box of the tile at an address; whether any pixel was open.

    After the tile's rows lies the table of constants.
    """

    def codegen(context, builder, signature, args):
        base, x0, x1, y0, y1, splat = args
        code = Code(builder, builder.add(base, ir.Constant(ir.IntType(64), 4 * TILE * ROW)))
        numbers = (Value(builder, number) for number in cgutils.unpack_tuple(builder, splat))
        mean_x, mean_y, a, m, b, opacity, *colors = numbers
        colors, opacity = [color.spread() for color in colors], opacity.spread()
        square = (a * -HALF_LOG2E).spread()
        met = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(64), 0))
        builder.store(ir.Constant(ir.IntType(64), 0), met)
        with code.loop(y0, y1, 1) as y:
            dy = mean_y - (code.float(y) + 0.5)
            constant = (dy * dy * b * -HALF_LOG2E).spread()
            middle = mean_x - m * dy
            row = code.address(base, builder.mul(y, ir.Constant(ir.IntType(64), ROW)))
            with code.loop(x0, x1, LANES) as x:
                place = code.address(row, x)
                T = code.load(place, 0)
                with builder.if_then(T.test(">", 0.0).any(), likely=True):
                    builder.store(ir.Constant(ir.IntType(64), 1), met)
                    u = (middle - code.float(x)).spread() - code.steps  # dx - m dy
                    _, _, weight, _, next_T = blended(code, T, square * u * u + constant, opacity)
                    code.store(next_T, place, 0)
                    for k, color in enumerate(colors, 1):
                        code.store(code.load(place, k * PLANE) + weight * color, place, k * PLANE)
        return builder.load(met)

    return types.int64(types.uint64, *(types.int64,) * 4, SPLAT), codegen


blend_rows = cast(Callable[..., int], intrinsic(_blend_rows))


@part
def tile_frame(item, views):
    """View, row and column of a tile; its left and top pixel; its width and height in the image."""
    c = 0
    while c + 1 < views.shape[0] and views[c + 1, FIRST_TILE] <= item:
        c += 1
    place = item - views[c, FIRST_TILE]
    ty, tx = place // views[c, TILES_X], place % views[c, TILES_X]
    left, top = tx * TILE, ty * TILE
    return c, ty, tx, left, top, min(TILE, views[c, WIDTH] - left), min(TILE, views[c, HEIGHT] - top)


@part
def first_instance(item, c, views, starts, tile_ends):
    """Where a tile's instances begin."""
    return starts[c] if item == views[c, FIRST_TILE] else tile_ends[item - 1]


@part
def open_tile(tile, row, width, height):
    """Nothing is blended yet; what lies outside the image is closed from the start."""
    for k in range(TILE * row):
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
    """The numbers of a splat as SPLAT has them, its mean relative to the tile."""
    return (
        splats[c, i, MEAN] - np.float32(left),
        splats[c, i, MEAN + 1] - np.float32(top),
        splats[c, i, SHAPE],
        splats[c, i, SHAPE + 1],
        splats[c, i, SHAPE + 2],
        splats[c, i, OPACITY],
        splats[c, i, COLOR],
        splats[c, i, COLOR + 1],
        splats[c, i, COLOR + 2],
        splats[c, i, DEPTH],
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


@kernel
def blend_tiles(
    counter, views, starts, tile_ends, ids, splats, boxes, backdrop, kept_ends, rgb, depth, alpha
):
    """Fills rgb [P, 3] (the backdrop [3] shining through), depth and alpha [P].

    The instances that meet an open pixel are moved to the beginning of their tile's part of `ids`; it ends at
    kept_ends [T].
    """
    tile = np.empty(TILE * ROW + TABLE.size, np.float32)
    put_constants(tile, TILE * ROW)
    address = U(tile.ctypes.data)
    while True:
        item = take(counter)
        if item >= tile_ends.shape[0]:
            return
        c, _, _, left, top, width, height = tile_frame(item, views)
        open_tile(tile, ROW, width, height)
        first = first_instance(item, c, views, starts, tile_ends)
        kept = first
        for k in range(first, tile_ends[item]):
            if (k - first) % CHECK_EVERY == CHECK_EVERY - 1 and is_closed(tile, ROW, width, height):
                break
            i = ids[k]
            x0, x1, y0, y1 = box_in_tile(boxes, c, i, left, top)
            if blend_rows(address, x0, x1, y0, y1, splat_in_tile(splats, c, i, left, top)):
                ids[kept] = i
                kept += 1
        kept_ends[item] = kept
        for y in range(height):
            o, p = U(y * ROW), views[c, FIRST_PIXEL] + (top + y) * views[c, WIDTH] + left
            for x in range(U(width)):
                T, q = abs(tile[o + x]), U(p) + x
                rgb[q, 0] = tile[o + R + x] + T * backdrop[0]
                rgb[q, 1] = tile[o + G + x] + T * backdrop[1]
                rgb[q, 2] = tile[o + B + x] + T * backdrop[2]
                depth[q] = tile[o + D + x]
                alpha[q] = ONE - T
