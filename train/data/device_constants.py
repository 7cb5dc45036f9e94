"""Numbers that steps need again and again."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor


@cache
def constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """A tensor of (tuples of) numbers, sent to a device once: a GPU waits for everything that is sent."""
    return torch.tensor(values, device=device)
