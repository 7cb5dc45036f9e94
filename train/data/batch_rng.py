"""Random numbers for the rows of a batch, drawn on the batch's device."""

from __future__ import annotations

import torch
from torch import Tensor


class BatchRng:
    """A random generator whose draws have one row for each element of a batch."""

    def __init__(self, count: int, device: torch.device, generator: torch.Generator) -> None:
        """
        Args:
            count: number of rows.
            device: of the draws; the generator's.
            generator: advanced by every draw.
        """
        self.count, self.device, self.generator = count, device, generator

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers [count, *shape] in [0, 1)."""
        return torch.rand(self.count, *shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers [count, *shape]."""
        return torch.randn(self.count, *shape, generator=self.generator, device=self.device)

    def integers(self, end: int, *shape: int) -> Tensor:
        """Integers [count, *shape] in [0, end)."""
        return torch.randint(end, (self.count, *shape), generator=self.generator, device=self.device)

    def bernoulli(self, probability: float) -> Tensor:
        """Booleans [count], each true with the given probability."""
        return self.uniform() < probability
