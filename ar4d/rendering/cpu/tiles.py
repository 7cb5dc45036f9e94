"""Front-to-back blending of one tile at a time, and its derivative.

A tile is a flat buffer whose rows hold one plane after another (PLANE floats each), so that every
distance inside a pixel's data is a constant and LLVM turns the loops over LANES pixels into vector
code. A pixel that is closed (transmittance would fall to 1e-4) keeps its transmittance negated.
"""

from __future__ import annotations

import numpy as np

from ar4d.rendering.cpu.jit import kernel
from ar4d.rendering.cpu.parallel import take
from ar4d.rendering.cpu.projection import (
    ALPHA_MIN,
    BLUE,
    CONIC_A,
    CONIC_B,
    CONIC_C,
    DEPTH,
    GREEN,
    HALF,
    MEAN_X,
    MEAN_Y,
    ONE,
    OPACITY,
    RED,
    SPLAT_SIZE,
    TILE,
)

ALPHA_MAX = np.float32(0.999)
T_MIN = np.float32(1e-4)
ZERO = np.float32(0)

LANES = 8  # a row's pixels are blended in whole vectors, those beyond the box for nothing
PLANE = TILE + LANES
U = np.uint64  # unsigned indices spare Numba's test for negative ones
CENTERS = np.arange(PLANE, dtype=np.float32) + HALF

# Planes of the forward tile and of the backward tile; both begin with the transmittance T.
T_RED, T_GREEN, T_BLUE, T_DEPTH, FORWARD_ROW = U(PLANE), U(2 * PLANE), U(3 * PLANE), U(4 * PLANE), 5 * PLANE
T_REST, T_GRED, T_GGREEN, T_GBLUE, T_GDEPTH, BACKWARD_ROW = (
    U(PLANE), U(2 * PLANE), U(3 * PLANE), U(4 * PLANE), U(5 * PLANE), 6 * PLANE,
)  # fmt: skip
NUM_SUMS = 7

CHECK_EVERY = 32  # splats between two looks at whether a tile is closed


@kernel
def exp_negative(x):
    """e^x for x ≤ 0 to 2e-7 relative, in operations that vectorise: 2^n · p(f), |f| ≤ 1/2."""
    t = max(x, np.float32(-80)) * np.float32(1.4426950408889634)
    n = np.int32(t - HALF)
    f = t - np.float32(n)
    p = np.float32(1.3398874e-3)
    p = p * f + np.float32(9.6184373e-3)
    p = p * f + np.float32(5.5503324e-2)
    p = p * f + np.float32(2.4022648e-1)
    p = p * f + np.float32(6.9314720e-1)
    p = p * f + ONE
    return p * np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)


@kernel
def is_closed(tile, row, width, height):
    for y in range(height):
        for x in range(width):
            if tile[y * row + x] > ZERO:
                return False
    return True


@kernel
def tile_box(boxes, c, i, left, top):
    """The part of a splat's box (x0, x1, y0, y1) inside the tile, relative to it."""
    return (
        max(boxes[c, i, 0] - left, 0),
        min(boxes[c, i, 1] - left, TILE),
        max(boxes[c, i, 2] - top, 0),
        min(boxes[c, i, 3] - top, TILE),
    )


@kernel
def tile_splat(splats, c, i, left, top):
    """Mean relative to the tile, conic; opacity; colour and depth."""
    return (
        (splats[c, i, MEAN_X] - np.float32(left), splats[c, i, MEAN_Y] - np.float32(top)),
        (splats[c, i, CONIC_A], splats[c, i, CONIC_B], splats[c, i, CONIC_C]),
        splats[c, i, OPACITY],
        (splats[c, i, RED], splats[c, i, GREEN], splats[c, i, BLUE], splats[c, i, DEPTH]),
    )


@kernel
def blend_splat(tile, splat, box):
    """Adds one splat to the tile."""
    x0, x1, y0, y1 = box
    (mean_x, mean_y), (A, B, C), opacity, (red, green, blue, depth) = splat
    square = -HALF * A
    lanes = U((x1 - x0 + LANES - 1) // LANES) * U(LANES)
    for y in range(y0, y1):
        dy = mean_y - (np.float32(y) + HALF)
        constant, linear = -HALF * C * dy * dy, -B * dy
        o = U(y * FORWARD_ROW + x0)
        for k in range(lanes):
            T = tile[o + k]
            dx = mean_x - CENTERS[U(x0) + k]
            power = (square * dx + linear) * dx + constant
            alpha = min(ALPHA_MAX, opacity * exp_negative(power))
            next_T = T * (ONE - alpha)
            visible = (alpha >= ALPHA_MIN) & (power <= ZERO)
            kept = visible & (next_T > T_MIN)
            weight = alpha * T if kept else ZERO
            tile[o + k] = next_T if kept else (-abs(T) if visible else T)
            tile[o + T_RED + k] += weight * red
            tile[o + T_GREEN + k] += weight * green
            tile[o + T_BLUE + k] += weight * blue
            tile[o + T_DEPTH + k] += weight * depth


@kernel
def open_tile(tile, row, width, height):
    """Nothing blended yet; lanes outside the image are closed from the start."""
    tile[:] = ZERO
    for y in range(TILE):
        for x in range(PLANE):
            tile[y * row + x] = ONE if x < width and y < height else -ONE


@kernel
def blend_tiles(counter, tile_ends, ids, splats, boxes, rgb, depth, alpha):
    """Fills rgb [C, H, W, 3] (premultiplied), depth and alpha [C, H, W]."""
    height, width = alpha.shape[1:]
    tiles_y, tiles_x = tile_ends.shape[1:]
    ends = tile_ends.reshape(-1)
    tile = np.empty(TILE * FORWARD_ROW, np.float32)
    while True:
        item = take(counter)
        if item >= ends.shape[0]:
            return
        c, ty, tx = item // (tiles_y * tiles_x), item // tiles_x % tiles_y, item % tiles_x
        left, top = tx * TILE, ty * TILE
        tile_width, tile_height = min(TILE, width - left), min(TILE, height - top)
        open_tile(tile, FORWARD_ROW, tile_width, tile_height)
        first = ends[item - 1] if item > 0 else 0
        for k in range(first, ends[item]):
            if (k - first) % CHECK_EVERY == CHECK_EVERY - 1 and is_closed(
                tile, FORWARD_ROW, tile_width, tile_height
            ):
                break
            blend_splat(tile, tile_splat(splats, c, ids[k], left, top), tile_box(boxes, c, ids[k], left, top))
        for y in range(tile_height):
            for x in range(tile_width):
                o = U(y * FORWARD_ROW + x)
                rgb[c, top + y, left + x, 0] = tile[o + T_RED]
                rgb[c, top + y, left + x, 1] = tile[o + T_GREEN]
                rgb[c, top + y, left + x, 2] = tile[o + T_BLUE]
                depth[c, top + y, left + x] = tile[o + T_DEPTH]
                alpha[c, top + y, left + x] = ONE - abs(tile[o])


@kernel
def blend_splat_backward(tile, sums, splat, box, instance_grads, slot):
    """Replays `blend_splat` and fills instance_grads[slot] with the splat's gradients from this tile."""
    x0, x1, y0, y1 = box
    (mean_x, mean_y), (A, B, C), opacity, (red, green, blue, depth) = splat
    sum_red = sum_green = sum_blue = sum_depth = ZERO
    sum_all = sum_x = sum_y = sum_xx = sum_xy = sum_yy = ZERO
    square = -HALF * A
    lanes = U((x1 - x0 + LANES - 1) // LANES) * U(LANES)
    sums[:] = ZERO
    for y in range(y0, y1):
        dy = mean_y - (np.float32(y) + HALF)
        constant, linear = -HALF * C * dy * dy, -B * dy
        o = U(y * BACKWARD_ROW + x0)
        for k in range(lanes):
            T = tile[o + k]
            dx = mean_x - CENTERS[U(x0) + k]
            power = (square * dx + linear) * dx + constant
            uncapped = opacity * exp_negative(power)
            alpha = min(ALPHA_MAX, uncapped)
            passed = ONE - alpha
            next_T = T * passed
            visible = (alpha >= ALPHA_MIN) & (power <= ZERO)
            kept = visible & (next_T > T_MIN)
            weight = alpha * T if kept else ZERO
            tile[o + k] = next_T if kept else (-abs(T) if visible else T)
            g_red, g_green = tile[o + T_GRED + k], tile[o + T_GGREEN + k]
            g_blue, g_depth = tile[o + T_GBLUE + k], tile[o + T_GDEPTH + k]
            value = g_red * red + g_green * green + g_blue * blue + g_depth * depth
            rest = tile[o + T_REST + k] - weight * value
            tile[o + T_REST + k] = rest
            g_power = alpha * (T * value - rest / passed) if kept & (uncapped <= ALPHA_MAX) else ZERO
            sums[k] += weight * g_red
            sums[U(PLANE) + k] += weight * g_green
            sums[U(2 * PLANE) + k] += weight * g_blue
            sums[U(3 * PLANE) + k] += weight * g_depth
            sums[U(4 * PLANE) + k] += g_power
            sums[U(5 * PLANE) + k] += g_power * dy
            sums[U(6 * PLANE) + k] += g_power * dy * dy
    for k in range(lanes):
        dx = mean_x - CENTERS[U(x0) + k]
        g, gy = sums[U(4 * PLANE) + k], sums[U(5 * PLANE) + k]
        sum_red += sums[k]
        sum_green += sums[U(PLANE) + k]
        sum_blue += sums[U(2 * PLANE) + k]
        sum_depth += sums[U(3 * PLANE) + k]
        sum_all += g
        sum_x += g * dx
        sum_xx += g * dx * dx
        sum_y += gy
        sum_xy += gy * dx
        sum_yy += sums[U(6 * PLANE) + k]
    instance_grads[slot, MEAN_X], instance_grads[slot, MEAN_Y] = (
        -(A * sum_x + B * sum_y),
        -(B * sum_x + C * sum_y),
    )
    instance_grads[slot, CONIC_A], instance_grads[slot, CONIC_C] = -HALF * sum_xx, -HALF * sum_yy
    instance_grads[slot, CONIC_B] = -sum_xy
    instance_grads[slot, OPACITY] = sum_all / opacity
    instance_grads[slot, RED], instance_grads[slot, GREEN] = sum_red, sum_green
    instance_grads[slot, BLUE], instance_grads[slot, DEPTH] = sum_blue, sum_depth


@kernel
def open_tile_backward(
    tile, c, left, top, width, height, rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha
):
    """Loads the pixels' gradients and S = g·C_final - g_A·T_final."""
    open_tile(tile, BACKWARD_ROW, width, height)
    for y in range(height):
        for x in range(width):
            o = U(y * BACKWARD_ROW + x)
            Y, X = top + y, left + x
            g_red, g_green, g_blue = grad_rgb[c, Y, X, 0], grad_rgb[c, Y, X, 1], grad_rgb[c, Y, X, 2]
            g_depth = grad_depth[c, Y, X]
            tile[o + T_GRED], tile[o + T_GGREEN], tile[o + T_GBLUE], tile[o + T_GDEPTH] = (
                g_red,
                g_green,
                g_blue,
                g_depth,
            )
            tile[o + T_REST] = (
                g_red * rgb[c, Y, X, 0]
                + g_green * rgb[c, Y, X, 1]
                + g_blue * rgb[c, Y, X, 2]
                + g_depth * depth[c, Y, X]
                - grad_alpha[c, Y, X] * (ONE - alpha[c, Y, X])
            )


@kernel
def blend_tiles_backward(
    counter, tile_ends, ids, splats, boxes, touched, splat_ends, rgb, depth, alpha,
    grad_rgb, grad_depth, grad_alpha, instance_grads,
):  # fmt: skip
    """Fills instance_grads [I, 10]: one row per (splat, tile), a splat's rows next to each other."""
    height, width = alpha.shape[1:]
    tiles_y, tiles_x = tile_ends.shape[1:]
    ends = tile_ends.reshape(-1)
    tile = np.empty(TILE * BACKWARD_ROW, np.float32)
    sums = np.empty(NUM_SUMS * PLANE, np.float32)
    while True:
        item = take(counter)
        if item >= ends.shape[0]:
            return
        c, ty, tx = item // (tiles_y * tiles_x), item // tiles_x % tiles_y, item % tiles_x
        left, top = tx * TILE, ty * TILE
        tile_width, tile_height = min(TILE, width - left), min(TILE, height - top)
        open_tile_backward(
            tile, c, left, top, tile_width, tile_height, rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha
        )
        first = ends[item - 1] if item > 0 else 0
        closed = False
        for k in range(first, ends[item]):
            if not closed and (k - first) % CHECK_EVERY == CHECK_EVERY - 1:
                closed = is_closed(tile, BACKWARD_ROW, tile_width, tile_height)
            i = ids[k]
            slot = instance_slot(boxes, splat_ends[c, i] - touched[c, i], c, i, tx, ty)
            if closed:
                for j in range(SPLAT_SIZE):
                    instance_grads[slot, j] = ZERO
                continue
            splat, box = tile_splat(splats, c, i, left, top), tile_box(boxes, c, i, left, top)
            blend_splat_backward(tile, sums, splat, box, instance_grads, slot)


@kernel
def instance_slot(boxes, first, c, i, tx, ty):
    """A splat's tiles are numbered from `first`, row by row over its box."""
    first_tx, last_tx = boxes[c, i, 0] // TILE, (boxes[c, i, 1] - 1) // TILE
    return first + (ty - boxes[c, i, 2] // TILE) * (last_tx - first_tx + 1) + tx - first_tx
