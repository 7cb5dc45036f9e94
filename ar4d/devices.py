"""Which device a run computes on."""

from __future__ import annotations

import torch

from ar4d.errors import UserError
from ar4d.settings import Device


def resolve_device(device: Device) -> torch.device:
    """The device to compute on; "auto" is the GPU where there is one.

    Raises:
        UserError: a GPU is asked for and torch sees none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "No CUDA device is visible to torch: install torch with CUDA and a driver, or use --device cpu."
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
