"""The parameters of a fused step in one flat array, and the Gaussians that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ar4d.fused.adam import BLOCK

ALIGNMENT = 16  # floats


class Flat:
    """Named arrays that lie in one flat array each of values, gradients, first and second moments."""

    def __init__(self, parts: dict[str, Tensor]) -> None:
        """Copies the parts [any shape, float32]; `tensors` holds their new places."""
        self.names = list(parts)
        self._places: dict[str, tuple[int, tuple[int, ...]]] = {}
        blocks, size = [], 0
        for group, (name, part) in enumerate(parts.items()):
            self._places[name] = size, tuple(part.shape)
            starts = range(size, size + part.numel(), BLOCK)
            blocks += [(group, start, min(start + BLOCK, size + part.numel())) for start in starts]
            size += -(-part.numel() // ALIGNMENT) * ALIGNMENT
        self.blocks = np.array(blocks, np.int64).reshape(-1, 3)
        self.values, self.grads, self.first, self.second = (np.zeros(size, np.float32) for _ in range(4))
        self.shares = np.zeros(0, np.float32)
        self.spoiled = np.zeros(len(blocks), np.int64)
        for name, part in parts.items():
            self.part(self.values, name)[...] = part.detach().numpy()

    def part(self, flat: np.ndarray, name: str) -> np.ndarray:
        """The part called `name` of one of the flat arrays, in its own shape."""
        start, shape = self._places[name]
        return flat[start : start + int(np.prod(shape))].reshape(shape)

    def tensor(self, name: str) -> Tensor:
        """The values called `name`, in the same memory."""
        return torch.from_numpy(self.part(self.values, name))

    def shorten(self, shares: np.ndarray, names: Sequence[str]) -> None:
        """Shortens the steps of the rows of some parts by `shares` [N]."""
        if not len(self.shares):
            self.shares = np.ones_like(self.values)
        for name in names:
            part = self.part(self.shares, name)
            part[...] = shares.reshape(-1, *[1] * (part.ndim - 1))

    def spoiled_names(self) -> dict[str, int]:
        """How many gradients of the last step were no finite numbers, by part."""
        counts = dict.fromkeys(self.names, 0)
        for (group, _, _), count in zip(self.blocks, self.spoiled, strict=True):
            counts[self.names[group]] += int(count)
        return {name: count for name, count in counts.items() if count}


@dataclass(eq=False)
class Activated:
    """The Gaussians as they are rendered."""

    means: np.ndarray  # [N, 3]
    quats: np.ndarray  # [N, 4]
    scales: np.ndarray  # [N, 3]
    opacities: np.ndarray  # [N]
    colors: np.ndarray  # [N, 3]

    @staticmethod
    def empty(count: int) -> Activated:
        shapes = (count, 3), (count, 4), (count, 3), (count,), (count, 3)
        return Activated(*(np.empty(shape, np.float32) for shape in shapes))

    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.means, self.quats, self.scales, self.opacities, self.colors
