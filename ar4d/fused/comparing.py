"""The comparison of rendered views with their targets, inside a chain of kernels."""

from __future__ import annotations

import math

import numpy as np

from ar4d.cameras import RADIUS
from ar4d.fused.images import BLOCK, compare_pixels, shown_box
from ar4d.kernels.ssim import CHANNELS, compare, compare_backward, most_blocks
from ar4d.losses import Terms
from ar4d.rendering import Rendering
from ar4d.rendering.cpu.buffers import Images, ViewBuffers
from ar4d.rendering.cpu.layout import FIRST_PIXEL


class Comparing:
    """Targets, weights, losses and gradients of a set of views."""

    def __init__(self, views: ViewBuffers) -> None:
        self._views = views
        counts = [width * height for width, height in views.sizes]
        width, height = views.sizes[0]
        self.targets, self.grads = Images.empty(sum(counts)), Images.empty(sum(counts))
        self._shown: list[Rendering | None] = [None] * len(counts)
        self._weights = np.zeros((len(counts), 5), np.float32)
        self._sums = np.zeros(sum(-(-count // BLOCK) for count in counts), np.float32)
        self._ssim, self._grad_sums = 0.0, np.zeros(2, np.float32)
        self._target_box, self._region = np.zeros(4, np.int64), np.zeros(4, np.int64)
        self._similarities = np.zeros((most_blocks(1, height, width), 2), np.float32)
        self._partials = np.zeros((1, height, 3, width * CHANNELS), np.float32)

    @property
    def boxes(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the first target shows anything, and where similarity is looked at: see `find_region`."""
        return self._target_box, self._region

    def set_target(self, c: int, target: Rendering) -> None:
        """Sets what view `c` should be, unless it is that already."""
        if self._shown[c] is target:
            return
        self._shown[c] = target
        width, height = self._views.sizes[c]
        first = int(self._views.table[c, FIRST_PIXEL])
        pixels = slice(first, first + width * height)
        self.targets.rgb[pixels] = target.rgb.numpy().reshape(-1, 3)
        self.targets.depth[pixels] = target.depth.numpy().ravel()
        self.targets.alpha[pixels] = target.alpha.numpy().ravel()
        if c == 0:
            shown_box(self.targets.rgb, width, height, self._target_box)

    def set_terms(self, c: int, terms: Terms) -> None:
        """Sets how view `c` is compared."""
        width, height = self._views.sizes[c]
        count = width * height
        self._weights[c] = (
            terms.l1 / (CHANNELS * count),
            terms.l2 / (CHANNELS * count),
            terms.depth / (RADIUS * count),
            terms.alpha / count,
            terms.covered_only,
        )
        if c == 0:
            self._ssim, self._grad_sums[0] = terms.ssim, -terms.ssim / (CHANNELS * count)

    def loss(self) -> float:
        """The sum of all terms."""
        total = float(self._sums.sum(dtype=np.float64))
        if self._ssim > 0:
            top, bottom, left, right = self._region.tolist()
            size = CHANNELS * math.prod(self._views.sizes[0])
            outside = size - (bottom - top) * (right - left)  # where both pictures are the same white
            similar = float(self._similarities[:, 0].sum(dtype=np.float64)) + outside
            total += self._ssim * (1 - similar / size)
        return total

    def compared_colors(self) -> int:
        """How many colours of pixels structural similarity was looked at."""
        top, bottom, left, right = self._region.tolist()
        return (bottom - top) * (right - left)

    def steps(self) -> list[list[tuple]]:
        """The steps of the chain."""
        width, height = self._views.sizes[0]
        images, targets, grads = self._views.images.arrays(), self.targets.arrays(), self.grads.arrays()
        rows = [x[0][: width * height].reshape(1, height, -1) for x in (images, targets, grads)]
        pixels = self._views.table, self._weights, *images, *targets, *grads, self._sums
        similarity = *rows[:2], self._region, self._similarities, self._partials
        back = *rows[:2], self._partials, self._grad_sums, self._region, rows[2]
        return [[(compare, similarity), (compare_pixels, pixels)], [(compare_backward, back)]]
