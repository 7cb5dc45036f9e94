"""Mean SSIM and mean absolute difference of images in one pass, and their derivative.

Images are channels last, so a row is L = 3 W floats and a pixel's horizontal neighbour lies 3 floats
away. Work goes in blocks of BAND rows and STRIP floats, in buffers whose strides are constants: that
is what lets LLVM turn every loop below into vector code.

With the blurred planes m_a, m_b, e = blur(a² + b²), x = blur(a b):

    SSIM = (2 m_a m_b + C1) (2 (x - m_a m_b) + C2) / ((m_a² + m_b² + C1) (e - m_a² - m_b² + C2))

and, since the blur is its own transpose, the derivative by `a` is
blur(∂/∂m_a) + 2 a blur(∂/∂e) + b blur(∂/∂x).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import run, take

RADIUS = 5  # of the window, px
SIGMA = 1.5
CHANNELS = 3
BAND = 64  # rows of a block
STRIP = 64 * CHANNELS  # floats of a block's row
HALO = RADIUS * CHANNELS  # floats beyond both ends of it
LINE = STRIP + 2 * HALO
ROWS = BAND + 2 * RADIUS
C1, C2 = np.float32(0.01**2), np.float32(0.03**2)

_window = [math.exp(-(i**2) / (2 * SIGMA**2)) for i in range(-RADIUS, RADIUS + 1)]
W0, W1, W2, W3, W4, W5 = (np.float32(w / sum(_window)) for w in _window[: RADIUS + 1])
ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
U = np.uint64  # unsigned indices spare Numba's test for negative ones


@part
def window_sum(x, i, step):
    """Σ window[k] x[i + k step], k = 0..10."""
    i1, i2, i3, i4, i5 = i + step, i + U(2) * step, i + U(3) * step, i + U(4) * step, i + U(5) * step
    i6, i7, i8, i9 = i + U(6) * step, i + U(7) * step, i + U(8) * step, i + U(9) * step
    return (
        W0 * x[i] + W1 * x[i1] + W2 * x[i2] + W3 * x[i3] + W4 * x[i4] + W5 * x[i5]
        + W4 * x[i6] + W3 * x[i7] + W2 * x[i8] + W1 * x[i9] + W0 * x[i + U(10) * step]
    )  # fmt: skip


@part
def blur_along_x(lines, rows, row, planes):
    """Blurs `planes` lines of LINE floats into row `row` of the planes of `rows`."""
    for p in range(planes):
        source, target = U(p * LINE), U((p * ROWS + row) * STRIP)
        for j in range(U(STRIP)):
            rows[target + j] = window_sum(lines, source + j, U(CHANNELS))


@part
def blur_along_y(rows, lines, row, planes):
    """Blurs the rows around row `row` + RADIUS of each plane into the first STRIP floats of its line."""
    for p in range(planes):
        source, target = U((p * ROWS + row) * STRIP), U(p * LINE)
        for j in range(U(STRIP)):
            lines[target + j] = window_sum(rows, source + j, U(STRIP))


@part
def block(item, region):
    """Where a block lies: image, row and float ranges."""
    top, bottom, left, right = region[0], region[1], region[2], region[3]
    strips, bands = (right - left + STRIP - 1) // STRIP, (bottom - top + BAND - 1) // BAND
    y, x = top + item // strips % bands * BAND, left + item % strips * STRIP
    return item // (strips * bands), y, min(y + BAND, bottom), x, min(x + STRIP, right)


@part
def num_blocks(images, region):
    """How many blocks the region of all images has."""
    strips, bands = (region[3] - region[2] + STRIP - 1) // STRIP, (region[1] - region[0] + BAND - 1) // BAND
    return images * strips * bands


@kernel
def compare(counter, a, b, region, sums, partials):
    """Fills sums [items, 2] (SSIM, |a - b|) and partials [B, H, 3, L] (by m_a, e, x); a, b: [B, H, L].

    Only blocks of the region (rows and floats: first, end, first, end) are looked at; the sums of items that
    it does not have are set to 0.
    """
    _, height, size = a.shape
    items = num_blocks(a.shape[0], region)
    lines = np.empty(4 * LINE, np.float32)
    rows = np.empty(4 * ROWS * STRIP, np.float32)
    while True:
        item = take(counter)
        if item >= len(sums):
            return
        sums[item, 0] = sums[item, 1] = ZERO
        if item >= items:
            continue
        n, top, bottom, left, right = block(item, region)
        difference = ZERO
        for y in range(top - RADIUS, bottom + RADIUS):
            for j in range(lines.shape[0]):
                lines[j] = ZERO
            if 0 <= y < height:
                first, last = max(left - HALO, 0), min(left + STRIP + HALO, size)
                u_row, v_row, shift = a[n, y], b[n, y], U(first - left + HALO)
                for j in range(U(last - first)):
                    u, v, o = u_row[U(first) + j], v_row[U(first) + j], shift + j
                    lines[o], lines[U(LINE) + o] = u, v
                    lines[U(2 * LINE) + o], lines[U(3 * LINE) + o] = u * u + v * v, u * v
            if top <= y < bottom:
                u_row, v_row = a[n, y], b[n, y]
                for x in range(U(left), U(right)):
                    difference += abs(u_row[x] - v_row[x])
            blur_along_x(lines, rows, y - top + RADIUS, 4)
        similarity = ZERO
        for y in range(top, bottom):
            blur_along_y(rows, lines, y - top, 4)
            similarity += similarity_row(lines, partials[n, y], left, right)
        sums[item, 0], sums[item, 1] = similarity, difference


@part
def similarity_row(lines, partials, left, right):
    """Σ SSIM over one row of a block; fills its partial derivatives."""
    total = ZERO
    by_ma, by_e, by_x = partials[0], partials[1], partials[2]
    for j in range(U(right - left)):
        ma, mb, e, x = lines[j], lines[U(LINE) + j], lines[U(2 * LINE) + j], lines[U(3 * LINE) + j]
        above1, above2 = TWO * ma * mb + C1, TWO * (x - ma * mb) + C2
        below1, below2 = ma * ma + mb * mb + C1, e - ma * ma - mb * mb + C2
        inverse = ONE / (below1 * below2)
        value = above1 * above2 * inverse
        total += value
        by_ma[U(left) + j] = TWO * (mb * (above2 - above1) - ma * value * (below2 - below1)) * inverse
        by_e[U(left) + j] = -value * below1 * inverse
        by_x[U(left) + j] = TWO * above1 * inverse
    return total


@kernel
def compare_backward(counter, a, b, partials, grad_sums, region, grad):
    """Adds to grad [B, H, L], within the region, what the gradients [2] of the two sums make of it.

    Outside the region the partial derivatives are taken to be 0.
    """
    items, grad_similarity, grad_difference = num_blocks(a.shape[0], region), grad_sums[0], grad_sums[1]
    lines = np.empty(3 * LINE, np.float32)
    rows = np.empty(3 * ROWS * STRIP, np.float32)
    while True:
        item = take(counter)
        if item >= items:
            return
        n, top, bottom, left, right = block(item, region)
        for y in range(top - RADIUS, bottom + RADIUS):
            for j in range(lines.shape[0]):
                lines[j] = ZERO
            if region[0] <= y < region[1]:
                first, last = max(left - HALO, region[2]), min(left + STRIP + HALO, region[3])
                for p in range(3):
                    shift = U(p * LINE + first - left + HALO)
                    for j in range(U(last - first)):
                        lines[shift + j] = partials[n, y, p, U(first) + j]
            blur_along_x(lines, rows, y - top + RADIUS, 3)
        for y in range(top, bottom):
            blur_along_y(rows, lines, y - top, 3)
            u_row, v_row, grad_row = a[n, y], b[n, y], grad[n, y]
            for j in range(U(right - left)):
                u, v = u_row[U(left) + j], v_row[U(left) + j]
                by_a = lines[j] + TWO * u * lines[U(LINE) + j] + v * lines[U(2 * LINE) + j]
                sign = ONE if u > v else (-ONE if u < v else ZERO)
                grad_row[U(left) + j] += grad_similarity * by_a + grad_difference * sign


def similarity(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean absolute difference of [B, H, W, 3] images, differentiable by `a`."""
    return _Compare.apply(a.float(), b.detach().float())


class _Compare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        a, b = a.contiguous(), b.contiguous()
        images, height, width, _ = a.shape
        region = np.array([0, height, 0, width * CHANNELS])
        sums = np.empty((most_blocks(images, height, width), 2), np.float32)
        partials = np.empty((images, height, 3, width * CHANNELS), np.float32)
        rows = a.numpy().reshape(images, height, -1), b.numpy().reshape(images, height, -1)
        run(compare, len(sums), *rows, region, sums, partials)
        ctx.save_for_backward(a, b)
        ctx.partials, ctx.region, ctx.items = partials, region, len(sums)
        return tuple(torch.tensor(x, dtype=torch.float32) for x in sums.sum(0, dtype=np.float64) / a.numel())

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_means):
        a, b = (x.numpy().reshape(*x.shape[:2], -1) for x in ctx.saved_tensors)
        grads = np.array([g.item() / a.size for g in grad_means], np.float32)
        grad = np.zeros_like(a)
        run(compare_backward, ctx.items, a, b, ctx.partials, grads, ctx.region, grad)
        return torch.from_numpy(grad).view(ctx.saved_tensors[0].shape), None


def most_blocks(images: int, height: int, width: int) -> int:
    """How many blocks whole images have."""
    return images * -(-height // BAND) * -(-width * CHANNELS // STRIP)
