"""The derivative of tiles.py, by replaying it front to back (the mathematics: see the package).

Every (splat, tile) pair has a row of its own to write its gradients to, so that nothing is added
up by several threads. A splat's rows lie next to each other, for projection_backward.py to sum.
"""

from __future__ import annotations

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
    SPLAT_SIZE,
    T_MIN,
    TILE,
    ZERO,
)
from ar4d.rendering.cpu.tiles import (
    CENTERS,
    CHECK_EVERY,
    HALF_LOG2E,
    LANES,
    PLANE,
    U,
    box_in_tile,
    exp2_negative,
    is_closed,
    open_tile,
    splat_in_tile,
    tile_frame,
)

ROW = 6 * PLANE  # T, S and the gradients g of red, green, blue and depth
S, R, G, B, D = U(PLANE), U(2 * PLANE), U(3 * PLANE), U(4 * PLANE), U(5 * PLANE)
SUMS = 7 * PLANE  # column sums over a splat's rows


@part
def blend_splat_backward(tile, sums, splat, box, grads, slot):
    """Replays `blend_splat` and fills grads[slot] with the splat's gradients from this tile."""
    x0, x1, y0, y1 = box
    (mean_x, mean_y), (a, m, b), opacity, (red, green, blue, depth) = splat
    lanes = U((x1 - x0 + LANES - 1) // LANES) * U(LANES)
    square = -HALF_LOG2E * a
    for k in range(SUMS):
        sums[k] = ZERO
    for y in range(y0, y1):
        dy = mean_y - (np.float32(y) + HALF)
        middle, constant = mean_x - m * dy, -HALF_LOG2E * b * dy * dy
        o = U(y * ROW + x0)
        for k in range(lanes):
            u = middle - CENTERS[U(x0) + k]  # dx - m dy
            exponent = square * u * u + constant
            uncapped = opacity * exp2_negative(exponent)
            alpha = min(ALPHA_MAX, uncapped)
            T, passed = tile[o + k], ONE - alpha
            next_T = T * passed
            visible = alpha >= ALPHA_MIN
            kept = visible & (next_T > T_MIN)
            weight = alpha * T if kept else ZERO
            tile[o + k] = next_T if kept else (-abs(T) if visible else T)
            g_red, g_green, g_blue = tile[o + R + k], tile[o + G + k], tile[o + B + k]
            g_depth = tile[o + D + k]
            value = g_red * red + g_green * green + g_blue * blue + g_depth * depth
            rest = tile[o + S + k] - weight * value
            tile[o + S + k] = rest
            g_power = alpha * (T * value - rest / passed) if kept & (uncapped <= ALPHA_MAX) else ZERO
            sums[k] += weight * g_red
            sums[U(PLANE) + k] += weight * g_green
            sums[U(2 * PLANE) + k] += weight * g_blue
            sums[U(3 * PLANE) + k] += weight * g_depth
            sums[U(4 * PLANE) + k] += g_power
            sums[U(5 * PLANE) + k] += g_power * dy
            sums[U(6 * PLANE) + k] += g_power * dy * dy
    finish_splat(sums, lanes, x0, mean_x, (a, m, b), opacity, grads, slot)


@part
def finish_splat(sums, lanes, x0, mean_x, shape, opacity, grads, slot):
    """Adds the columns up: the derivatives of power = -½ (a u² + b dy²), u = dx - m dy."""
    a, m, b = shape
    red = green = blue = depth = ZERO
    total = sum_y = sum_yy = sum_u = sum_uu = sum_uy = ZERO
    for k in range(lanes):
        dx = mean_x - CENTERS[U(x0) + k]
        g, gy, gyy = sums[U(4 * PLANE) + k], sums[U(5 * PLANE) + k], sums[U(6 * PLANE) + k]
        gu = g * dx - gy * m
        guy = gy * dx - gyy * m
        red += sums[k]
        green += sums[U(PLANE) + k]
        blue += sums[U(2 * PLANE) + k]
        depth += sums[U(3 * PLANE) + k]
        total += g
        sum_y += gy
        sum_yy += gyy
        sum_u += gu
        sum_uu += gu * dx - guy * m
        sum_uy += guy
    grads[slot, MEAN], grads[slot, MEAN + 1] = -a * sum_u, a * m * sum_u - b * sum_y
    grads[slot, SHAPE], grads[slot, SHAPE + 1] = -HALF * sum_uu, a * sum_uy
    grads[slot, SHAPE + 2] = -HALF * sum_yy
    grads[slot, OPACITY] = total / opacity
    grads[slot, COLOR], grads[slot, COLOR + 1], grads[slot, COLOR + 2] = red, green, blue
    grads[slot, DEPTH] = depth


@part
def load_gradients(tile, c, left, top, width, height, rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha):
    """Fills the planes g and S = g·C_final - g_A T_final of an open tile."""
    for y in range(height):
        for x in range(width):
            o, Y, X = U(y * ROW + x), top + y, left + x
            g_red, g_green, g_blue = grad_rgb[c, Y, X, 0], grad_rgb[c, Y, X, 1], grad_rgb[c, Y, X, 2]
            g_depth = grad_depth[c, Y, X]
            g_color = g_red * rgb[c, Y, X, 0] + g_green * rgb[c, Y, X, 1] + g_blue * rgb[c, Y, X, 2]
            tile[o + S] = g_color + g_depth * depth[c, Y, X] - grad_alpha[c, Y, X] * (ONE - alpha[c, Y, X])
            tile[o + R], tile[o + G], tile[o + B], tile[o + D] = g_red, g_green, g_blue, g_depth


@part
def instance_slot(boxes, first, c, i, ty, tx):
    """The row of a splat in a tile: its tiles are counted from `first`, row by row over its box."""
    first_tx, last_tx = boxes[c, i, 0] // TILE, (boxes[c, i, 1] - 1) // TILE
    return first + (ty - boxes[c, i, 2] // TILE) * (last_tx - first_tx + 1) + tx - first_tx


@kernel
def blend_tiles_backward(
    counter, tile_ends, ids, splats, boxes, touched, ends, rgb, depth, alpha,
    grad_rgb, grad_depth, grad_alpha, instance_grads,
):  # fmt: skip
    """Fills instance_grads [I, 10]; `ends` [C, N] is where each splat's rows end."""
    flat_ends = tile_ends.reshape(-1)
    tile, sums = np.empty(TILE * ROW, np.float32), np.empty(SUMS, np.float32)
    while True:
        item = take(counter)
        if item >= flat_ends.shape[0]:
            return
        c, ty, tx, left, top, width, height = tile_frame(
            item, tile_ends.shape[1], tile_ends.shape[2], alpha.shape[1], alpha.shape[2]
        )
        open_tile(tile, ROW, width, height)
        load_gradients(tile, c, left, top, width, height, rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha)
        first, closed = flat_ends[item - 1] if item > 0 else 0, False
        for k in range(first, flat_ends[item]):
            if not closed and (k - first) % CHECK_EVERY == CHECK_EVERY - 1:
                closed = is_closed(tile, ROW, width, height)
            i = ids[k]
            slot = instance_slot(boxes, ends[c, i] - touched[c, i], c, i, ty, tx)
            if closed:
                for j in range(SPLAT_SIZE):
                    instance_grads[slot, j] = ZERO
            else:
                splat, box = splat_in_tile(splats, c, i, left, top), box_in_tile(boxes, c, i, left, top)
                blend_splat_backward(tile, sums, splat, box, instance_grads, slot)
