"""Training batches from rendered samples on disk; see `point_cloud_dataset` for endless new views."""

from __future__ import annotations

import numpy as np
import torch

from train.data.crop_batch import CropBatch, crops_of_views
from train.data.samples import Samples
from train.data.view_batch import ViewBatch


class RenderedDataset:
    """An `ExampleSource` that draws rendered samples in random order, epoch by epoch."""

    def __init__(self, samples: Samples, seed: int) -> None:
        if len(samples) == 0:
            raise SystemExit("None of the folders given with --data has a sample to train on.")
        self.samples, self.random = samples, np.random.default_rng(seed)
        self.order: list[int] = []

    def sample_views(self, count: int) -> ViewBatch:
        """The next `count` samples; each comes once before any comes twice."""
        drawn = []
        for _ in range(count):
            self.order = self.order or self.random.permutation(len(self.samples)).tolist()
            index, pose = self.order.pop(), int(self.random.integers(2))
            views, depth = self.samples.views(index, pose)
            drawn.append((views, depth, self.samples.views(index, 1 - pose)[0], self.samples.planes[index]))
        return ViewBatch(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))

    def sample_crops(self, count: int) -> CropBatch:
        """Crops of all views of the symmetric objects among the next `count` samples; never empty."""
        while True:
            crops = crops_of_views(self.sample_views(count))
            if len(crops.planes):  # plants, for instance, have no plane
                return crops
