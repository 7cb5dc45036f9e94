"""Where the recorded outputs of the original LGM, ImageDream and SV4D 2.0 lie.

They are 50 MB and no part of the repository; point AR4D_GOLDEN at their folder to run the tests that
compare with them. What they established is also held by small values within the tests.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

FOLDER = os.environ.get("AR4D_GOLDEN")
needs_golden = pytest.mark.skipif(FOLDER is None, reason="AR4D_GOLDEN does not name the golden data's folder")


def golden_path(name: str) -> Path:
    assert FOLDER is not None
    return Path(FOLDER) / name


def golden_tensors(name: str) -> dict[str, torch.Tensor]:
    # cloned: tensors in a mapped file may be unaligned, which changes the rounding
    return {key: value.clone() for key, value in load_file(golden_path(name)).items()}


def golden_weights(tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {
        key.removeprefix("weights."): value.to(dtype)
        for key, value in tensors.items()
        if key.startswith("weights.")
    }
