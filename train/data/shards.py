"""Writes rendered samples to disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHARD = 250
"""Samples per file."""


class ShardWriter:
    """Writes rgba_NNN.npy, depth_NNN.npy and test_NNN.npy with SHARD samples each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0
        self.waiting: list[tuple[NDArray[np.uint8], NDArray[np.uint16], NDArray[np.uint8]]] = []

    def add(self, rgba: NDArray[np.uint8], depth: NDArray[np.uint16], test: NDArray[np.uint8]) -> None:
        """Add a sample; the file is written when it is full."""
        self.waiting.append((rgba, depth, test))
        if len(self.waiting) == SHARD:
            self.flush()

    def flush(self) -> None:
        """Write the samples that no file contains yet."""
        if self.waiting:
            for name, arrays in zip(("rgba", "depth", "test"), zip(*self.waiting, strict=True), strict=True):
                np.save(self.folder / f"{name}_{self.number:03}.npy", np.stack(arrays))
            self.number += 1
            self.waiting.clear()
