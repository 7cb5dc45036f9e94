"""Mean SSIM and mean absolute difference of images in one pass, and their derivative.

Images are channels last, so a row is W·3 floats and a pixel's horizontal neighbour lies 3 floats
away: one row of the separable blur is one long loop. Bands of rows go to different threads.

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

from ar4d.rendering.cpu.jit import kernel
from ar4d.rendering.cpu.parallel import run, take

RADIUS = 5  # of the window, px
SIGMA = 1.5
CHANNELS = 3
PAD = RADIUS * CHANNELS  # floats beyond both ends of a row; zero, as the 3DGS code has it
BAND = 32  # rows
C1, C2 = np.float32(0.01**2), np.float32(0.03**2)

_window = [math.exp(-(i**2) / (2 * SIGMA**2)) for i in range(-RADIUS, RADIUS + 1)]
W0, W1, W2, W3, W4, W5 = (np.float32(w / sum(_window)) for w in _window[: RADIUS + 1])
ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)


@kernel
def window_sum(x, i, step):
    """Σ window[k] x[i + k step], k = 0..10."""
    return (
        W0 * x[i] + W1 * x[i + step] + W2 * x[i + 2 * step] + W3 * x[i + 3 * step]
        + W4 * x[i + 4 * step] + W5 * x[i + 5 * step] + W4 * x[i + 6 * step] + W3 * x[i + 7 * step]
        + W2 * x[i + 8 * step] + W1 * x[i + 9 * step] + W0 * x[i + 10 * step]
    )  # fmt: skip


@kernel
def blur_row(padded, out, o, size):
    for j in range(size):
        out[o + j] = window_sum(padded, np.uint64(j), np.uint64(CHANNELS))


@kernel
def compare(counter, a, b, sums, partials):
    """Fills sums [B, bands, 2] (SSIM, |a - b|) and partials [B, H, 3, L] (by m_a, e, x); a, b: [B, H, L]."""
    images, height, size = a.shape
    bands = sums.shape[1]
    padded = np.zeros((4, size + 2 * PAD), np.float32)
    rows = np.empty((BAND + 2 * RADIUS) * 4 * size, np.float32)  # blurred along x
    flat = partials.reshape(-1)
    step = np.uint64(4 * size)
    while True:
        item = take(counter)
        if item >= images * bands:
            return
        n, first = item // bands, item % bands * BAND
        last = min(first + BAND, height)
        difference = 0.0
        for y in range(first - RADIUS, last + RADIUS):
            o = (y - first + RADIUS) * 4 * size
            if y < 0 or y >= height:
                rows[o : o + 4 * size] = ZERO
                continue
            row = ZERO
            for j in range(size):
                u, v = a[n, y, j], b[n, y, j]
                padded[0, PAD + j], padded[1, PAD + j] = u, v
                padded[2, PAD + j], padded[3, PAD + j] = u * u + v * v, u * v
                row += abs(u - v)
            if first <= y < last:
                difference += row
            for p in range(4):
                blur_row(padded[p], rows, o + p * size, size)
        similarity = 0.0
        for y in range(first, last):
            o = np.uint64((y - first) * 4 * size)
            target = np.uint64((n * height + y) * 3 * size)
            row = ZERO
            for j in range(np.uint64(size)):
                ma = window_sum(rows, o + j, step)
                mb = window_sum(rows, o + np.uint64(size) + j, step)
                e = window_sum(rows, o + np.uint64(2 * size) + j, step)
                x = window_sum(rows, o + np.uint64(3 * size) + j, step)
                above1, above2 = TWO * ma * mb + C1, TWO * (x - ma * mb) + C2
                below1, below2 = ma * ma + mb * mb + C1, e - ma * ma - mb * mb + C2
                inverse = ONE / (below1 * below2)
                value = above1 * above2 * inverse
                row += value
                by_e = -value * below1 * inverse
                flat[target + j] = (
                    TWO * mb * (above2 - above1) * inverse - TWO * ma * value * below2 * inverse - TWO * ma * by_e
                )
                flat[target + np.uint64(size) + j] = by_e
                flat[target + np.uint64(2 * size) + j] = TWO * above1 * inverse
            similarity += row
        sums[n, item % bands, 0], sums[n, item % bands, 1] = similarity, difference


@kernel
def compare_backward(counter, a, b, partials, grad_similarity, grad_difference, bands, grad):
    """Fills grad [B, H, L] from the gradients of the two sums."""
    images, height, size = a.shape
    padded = np.zeros(size + 2 * PAD, np.float32)
    rows = np.empty((BAND + 2 * RADIUS) * 3 * size, np.float32)
    step = np.uint64(3 * size)
    while True:
        item = take(counter)
        if item >= images * bands:
            return
        n, first = item // bands, item % bands * BAND
        last = min(first + BAND, height)
        for y in range(first - RADIUS, last + RADIUS):
            o = (y - first + RADIUS) * 3 * size
            if y < 0 or y >= height:
                rows[o : o + 3 * size] = ZERO
                continue
            for p in range(3):
                padded[PAD : PAD + size] = partials[n, y, p]
                blur_row(padded, rows, o + p * size, size)
        for y in range(first, last):
            o = np.uint64((y - first) * 3 * size)
            for j in range(np.uint64(size)):
                u, v = a[n, y, j], b[n, y, j]
                by_ma = window_sum(rows, o + j, step)
                by_e = window_sum(rows, o + np.uint64(size) + j, step)
                by_x = window_sum(rows, o + np.uint64(2 * size) + j, step)
                sign = ONE if u > v else (-ONE if u < v else ZERO)
                grad[n, y, j] = grad_similarity * (by_ma + TWO * u * by_e + v * by_x) + grad_difference * sign


def similarity(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean absolute difference of [B, H, W, 3] images, differentiable by `a`."""
    return _Compare.apply(a.float(), b.detach().float())


class _Compare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        a, b = a.contiguous(), b.contiguous()
        images, height, width, _ = a.shape
        rows = images, height, width * CHANNELS
        sums = np.empty((images, -(-height // BAND), 2))
        partials = np.empty((images, height, 3, width * CHANNELS), np.float32)
        run(compare, images * sums.shape[1], a.numpy().reshape(rows), b.numpy().reshape(rows), sums, partials)
        ctx.save_for_backward(a, b)
        ctx.partials, ctx.rows, ctx.bands = partials, rows, sums.shape[1]
        return tuple(torch.tensor(x, dtype=torch.float32) for x in sums.sum((0, 1)) / a.numel())

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_means):
        a, b = (x.numpy().reshape(ctx.rows) for x in ctx.saved_tensors)
        grads = (np.float32(g.item() / a.size) for g in grad_means)
        grad = torch.empty(ctx.saved_tensors[0].shape)
        run(
            compare_backward, len(a) * ctx.bands, a, b, ctx.partials, *grads, ctx.bands, grad.numpy().reshape(ctx.rows)
        )  # fmt: skip
        return grad, None
