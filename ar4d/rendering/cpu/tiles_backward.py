"""The derivative of tiles.py, by replaying it front to back (the mathematics: see the package).

Every (splat, tile) pair that the forward pass kept has a row of its own to write its gradients to, so that
nothing is added up by several threads. A splat's rows lie next to each other, for projection_backward.py
to sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take
from ar4d.rendering.cpu.lanes import FLOAT, LANES, TABLE, Code, Value, put_constants
from ar4d.rendering.cpu.layout import ALPHA_MAX, FIRST_PIXEL, ONE, SPLAT_SIZE, TILE, WIDTH
from ar4d.rendering.cpu.tiles import (
    HALF_LOG2E,
    PLANE,
    SPLAT,
    U,
    blended,
    box_in_tile,
    first_instance,
    open_tile,
    splat_in_tile,
    tile_frame,
)

ROW = 6 * PLANE  # T, S and the gradients g of red, green, blue and depth
S, R, G, B, D = U(PLANE), U(2 * PLANE), U(3 * PLANE), U(4 * PLANE), U(5 * PLANE)


def _replay_rows(typing_context, tile, grads, x0, x1, y0, y1, splat):
    """Inside kernels, replays `blend_rows` and fills the ten numbers at the address `grads`.

    They are the splat's gradients from this tile, in the order of layout.py.
    """

    def codegen(context, builder, signature, args):
        base, target, x0, x1, y0, y1, splat = args
        code = Code(builder, builder.add(base, ir.Constant(ir.IntType(64), 4 * TILE * ROW)))
        numbers = (Value(builder, number) for number in cgutils.unpack_tuple(builder, splat))
        mean_x, mean_y, a, m, b, opacity, *colors = numbers
        wide, wide_m = [color.spread() for color in colors], m.spread()
        opaque, square = opacity.spread(), (a * -HALF_LOG2E).spread()
        sums, column = code.sums(10), code.sums(3)  # colours, 1, u, u², u dy, dy, dy²; of one column
        code.clear(sums)
        with code.loop(x0, x1, LANES) as x:
            dx = (mean_x - code.float(x)).spread() - code.steps
            code.clear(column)
            with code.loop(y0, y1, 1) as y:
                dy = mean_y - (code.float(y) + 0.5)
                row = code.address(base, builder.mul(y, ir.Constant(ir.IntType(64), ROW)))
                place = code.address(row, x)
                T = code.load(place, 0)
                with builder.if_then(T.test(">", 0.0).any(), likely=True):
                    u = dx - (m * dy).spread()
                    constant = (dy * dy * b * -HALF_LOG2E).spread()
                    exponent = square * u * u + constant
                    uncapped, alpha, weight, kept, next_T = blended(code, T, exponent, opaque)
                    code.store(next_T, place, 0)
                    g = [code.load(place, k * PLANE) for k in range(2, 6)]
                    value = g[0] * wide[0] + g[1] * wide[1] + g[2] * wide[2] + g[3] * wide[3]
                    rest = code.load(place, PLANE) - weight * value
                    code.store(rest, place, PLANE)
                    for sum_, gradient in zip(sums[:4], g, strict=True):
                        code.add(sum_, weight * gradient)
                    slope = alpha * (T * value - rest / (code.constant(1.0) - alpha))
                    power = (kept & uncapped.test("<=", code.constant(float(ALPHA_MAX)))).choose(slope, 0.0)
                    spread_dy = dy.spread()
                    code.add(column[0], power)
                    code.add(column[1], power * spread_dy)
                    code.add(column[2], power * spread_dy * spread_dy)
            by_1, by_y, by_yy = (code.sum(place) for place in column)
            by_u, by_uy = by_1 * dx - by_y * wide_m, by_y * dx - by_yy * wide_m
            parts = by_1, by_u, by_u * dx - by_uy * wide_m, by_uy, by_y, by_yy
            for sum_, part_ in zip(sums[4:], parts, strict=True):
                code.add(sum_, part_)
        red, green, blue, depth, by_1, u, uu, uy, y, yy = (code.sum(place).total() for place in sums)
        mean_gradient = a * u * -1.0, a * m * u - b * y
        shape = uu * -0.5, a * uy, yy * -0.5
        results = *mean_gradient, *shape, by_1 / opacity, red, green, blue, depth
        pointer = builder.inttoptr(target, FLOAT.as_pointer())
        for k, result in enumerate(results):
            builder.store(result.value, builder.gep(pointer, [ir.Constant(ir.IntType(64), k)]))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, *(types.int64,) * 4, SPLAT), codegen


replay_rows = cast(Callable[..., None], intrinsic(_replay_rows))


@part
def load_gradients(tile, first, stride, width, height, rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha):
    """Fills the planes g and S = g·C_final - g_A T_final of an open tile; `first` is its first pixel."""
    for y in range(height):
        o, p = U(y * ROW), U(first + y * stride)
        for x in range(U(width)):
            q = p + x
            g_red, g_green, g_blue, g_depth = grad_rgb[q, 0], grad_rgb[q, 1], grad_rgb[q, 2], grad_depth[q]
            g_color = g_red * rgb[q, 0] + g_green * rgb[q, 1] + g_blue * rgb[q, 2]
            tile[o + S + x] = g_color + g_depth * depth[q] - grad_alpha[q] * (ONE - alpha[q])
            tile[o + R + x], tile[o + G + x], tile[o + B + x] = g_red, g_green, g_blue
            tile[o + D + x] = g_depth


@part
def instance_slot(boxes, first, c, i, ty, tx):
    """The row of a splat in a tile: its tiles are counted from `first`, row by row over its box."""
    first_tx, last_tx = boxes[c, i, 0] // TILE, (boxes[c, i, 1] - 1) // TILE
    return first + (ty - boxes[c, i, 2] // TILE) * (last_tx - first_tx + 1) + tx - first_tx


@kernel
def blend_tiles_backward(
    counter, views, starts, tile_ends, kept_ends, ids, splats, boxes, touched, ends, rgb, depth, alpha,
    grad_rgb, grad_depth, grad_alpha, instance_grads, used,
):  # fmt: skip
    """Fills instance_grads [I, 10] where it sets used [I]; `ends` [C, N] is where each splat's rows end."""
    tile = np.empty(TILE * ROW + TABLE.size, np.float32)
    put_constants(tile, TILE * ROW)
    address, first_row = U(tile.ctypes.data), U(instance_grads.ctypes.data)
    while True:
        item = take(counter)
        if item >= tile_ends.shape[0]:
            return
        c, ty, tx, left, top, width, height = tile_frame(item, views)
        first = first_instance(item, c, views, starts, tile_ends)
        if first == kept_ends[item]:
            continue
        open_tile(tile, ROW, width, height)
        stride = views[c, WIDTH]
        pixel = views[c, FIRST_PIXEL] + top * stride + left
        load_gradients(
            tile, pixel, stride, width, height, rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha
        )
        for k in range(first, kept_ends[item]):
            i = ids[k]
            slot = instance_slot(boxes, ends[c, i] - touched[c, i], c, i, ty, tx)
            x0, x1, y0, y1 = box_in_tile(boxes, c, i, left, top)
            splat = splat_in_tile(splats, c, i, left, top)
            replay_rows(address, first_row + U(4 * SPLAT_SIZE) * U(slot), x0, x1, y0, y1, splat)
            used[slot] = True
