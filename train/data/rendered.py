"""Shots from samples on disk; see `train.data.dataset` for new ones each time."""

from __future__ import annotations

import numpy as np
import torch

from train.data.samples import Samples, Shots
from train.data.view_batch import Pictures, every_picture


class Album:
    """Draws shots from samples in random order."""

    def __init__(self, samples: Samples, seed: int) -> None:
        if len(samples) == 0:
            raise SystemExit("None of the folders given with --data has a sample to train on.")
        self.samples, self.random = samples, np.random.default_rng(seed)
        self.order: list[int] = []

    def shots(self, count: int) -> Shots:
        """The next ones; each sample comes once before any comes twice."""
        drawn = []
        for _ in range(count):
            self.order = self.order or self.random.permutation(len(self.samples)).tolist()
            index, pose = self.order.pop(), int(self.random.integers(2))
            views, depth = self.samples.views(index, pose)
            drawn.append((views, depth, self.samples.views(index, 1 - pose)[0], self.samples.planes[index]))
        return Shots(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))

    def close_ups(self, count: int) -> Pictures:
        """All views of the symmetric ones among the next samples, cut out; of one at least."""
        while True:
            pictures = every_picture(self.shots(count))
            if len(pictures.planes):  # not plants alone
                return pictures
