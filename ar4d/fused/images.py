"""The losses that compare pixel with pixel, and where the structural similarity has to be looked at."""

from __future__ import annotations

import numpy as np

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take
from ar4d.kernels.ssim import CHANNELS, RADIUS
from ar4d.rendering.cpu.layout import FIRST_PIXEL, HEIGHT, WIDTH

BLOCK = 4096  # pixels that a thread takes at once
L1, L2, DEPTH, ALPHA, COVERED = 0, 1, 2, 3, 4
"""Columns of the weights [C, 5]: of |Δrgb|, Δrgb², |Δdepth| and |Δalpha| summed over a view's pixels; and
whether what the target does not cover is left out of all of them."""
U = np.uint64  # unsigned indices spare Numba's test for negative ones
ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)


@part
def sign(x):
    return ONE if x > ZERO else (-ONE if x < ZERO else ZERO)


@part
def block_of(item, views):
    """View and pixel range of an item; an empty range beyond the last one."""
    for c in range(views.shape[0]):
        pixels = views[c, WIDTH] * views[c, HEIGHT]
        blocks = (pixels + BLOCK - 1) // BLOCK
        if item < blocks:
            start = views[c, FIRST_PIXEL] + item * BLOCK
            return c, start, min(start + BLOCK, views[c, FIRST_PIXEL] + pixels)
        item -= blocks
    return 0, 0, 0


@kernel
def compare_pixels(
    counter, views, weights, rgb, depth, alpha, target_rgb, target_depth, target_alpha,
    grad_rgb, grad_depth, grad_alpha, sums,
):  # fmt: skip
    """Fills the gradients by the pixels, and sums [items] with the weighted losses of blocks of pixels."""
    rgb_floats, target_floats = rgb.reshape(rgb.size), target_rgb.reshape(rgb.size)
    grad_floats = grad_rgb.reshape(rgb.size)
    while True:
        item = take(counter)
        if item >= sums.shape[0]:
            return
        c, start, end = block_of(item, views)
        l1, l2, w_depth, w_alpha = weights[c, L1], weights[c, L2], weights[c, DEPTH], weights[c, ALPHA]
        first, last = CHANNELS * start, CHANNELS * end
        total = compare_floats(rgb_floats, target_floats, grad_floats, first, last, l1, l2)
        total += compare_floats(depth, target_depth, grad_depth, start, end, w_depth, ZERO)
        total += compare_floats(alpha, target_alpha, grad_alpha, start, end, w_alpha, ZERO)
        if weights[c, COVERED] > ZERO:
            total = ZERO
            for p in range(start, end):
                if target_alpha[p] > HALF:
                    total += w_depth * abs(depth[p] - target_depth[p])
                    total += w_alpha * abs(alpha[p] - target_alpha[p])
                    for j in range(CHANNELS):
                        e = rgb[p, j] - target_rgb[p, j]
                        total += l1 * abs(e) + l2 * e * e
                else:
                    grad_depth[p] = grad_alpha[p] = ZERO
                    for j in range(CHANNELS):
                        grad_rgb[p, j] = ZERO
        sums[item] = total


@part
def compare_floats(values, targets, grads, start, end, l1, l2):
    """Fills grads of l1 |Δ| + l2 Δ²; the sum of these over the range. Three arrays at a time: vector code."""
    total = ZERO
    for k in range(U(start), U(end)):
        e = values[k] - targets[k]
        grads[k] = l1 * sign(e) + TWO * l2 * e
        total += l1 * abs(e) + l2 * e * e
    return total


@kernel
def find_region(counter, views, boxes, touched, target_box, region):
    """Fills region [4] (see kernels/ssim.py) of view 0: where the splats or the target show anything.

    Everywhere else both pictures are the same white, so that their similarity is 1 and its gradient 0. A
    window that reaches into what is shown belongs to the region, and so does one that reaches a pixel there.
    """
    if take(counter) > 0:
        return
    x0, x1, y0, y1 = target_box[0], target_box[1], target_box[2], target_box[3]
    for i in range(touched.shape[1]):
        if touched[0, i] > 0:
            x0, x1 = min(x0, boxes[0, i, 0]), max(x1, boxes[0, i, 1])
            y0, y1 = min(y0, boxes[0, i, 2]), max(y1, boxes[0, i, 3])
    region[0], region[1] = max(y0 - RADIUS, 0), min(y1 + RADIUS, views[0, HEIGHT])
    region[2], region[3] = CHANNELS * max(x0 - RADIUS, 0), CHANNELS * min(x1 + RADIUS, views[0, WIDTH])
    if region[0] >= region[1] or region[2] >= region[3]:
        region[:] = 0


@kernel
def shown_box(rgb, width, height, box):
    """Fills box [4] (x0, x1, y0, y1) with where the first width · height pixels of rgb are not white."""
    x0, x1, y0, y1 = width, 0, height, 0
    for y in range(height):
        first, last = width, -1
        for x in range(width):
            p = y * width + x
            if rgb[p, 0] != ONE or rgb[p, 1] != ONE or rgb[p, 2] != ONE:
                first, last = min(first, x), x
        if last >= 0:
            x0, x1, y0, y1 = min(x0, first), max(x1, last + 1), min(y0, y), y + 1
    box[0], box[1], box[2], box[3] = x0, x1, y0, y1
