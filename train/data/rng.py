"""Random numbers for the rows of a batch, on its device."""

from __future__ import annotations

import torch
from torch import Tensor


class Dice:
    """Random numbers for `count` rows."""

    def __init__(self, count: int, device: torch.device, random: torch.Generator) -> None:
        self.count, self.device, self.random = count, device, random

    def uniform(self, *shape: int) -> Tensor:
        """[count, *shape] in [0, 1)."""
        return torch.rand(self.count, *shape, generator=self.random, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """[count, *shape]."""
        return torch.randn(self.count, *shape, generator=self.random, device=self.device)

    def numbers(self, end: int, *shape: int) -> Tensor:
        """[count, *shape] whole, in [0, end)."""
        return torch.randint(end, (self.count, *shape), generator=self.random, device=self.device)

    def chance(self, share: float) -> Tensor:
        """[count] true in that share."""
        return self.uniform() < share
