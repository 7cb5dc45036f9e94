"""Constant tensors that training steps use repeatedly."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor


@cache
def constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """A tensor of (nested tuples of) numbers, transferred to a device once: every transfer stalls a GPU."""
    return torch.tensor(values, device=device)
