"""Predicted tokens on the disk: one file of codes a frame, from which an interrupted run continues."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.files import atomic


def save_tokens(folder: Path, frame: int, codes: Tensor) -> None:
    """Writes the codes [V, N, K] of a frame."""
    with atomic(_path(folder, frame)) as path, path.open("wb") as file:
        np.save(file, codes.cpu().numpy().astype(np.uint16), allow_pickle=False)


def load_tokens(folder: Path) -> Tensor | None:
    """The codes [F, V, N, K] of the first F frames; None where there are none.

    Raises:
        UserError: a file is damaged.
    """
    frames = []
    for frame in count():
        path = _path(folder, frame)
        if not path.exists():
            break
        try:
            codes = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(_remedy(path)) from error
        if codes.ndim != 3 or codes.dtype != np.uint16 or (frames and codes.shape != frames[0].shape):
            raise UserError(_remedy(path))
        frames.append(codes)
    return torch.from_numpy(np.stack(frames).astype(np.int64)) if frames else None


def _remedy(path: Path) -> str:
    return f"{path} does not hold a frame's tokens; delete it, and they are predicted again."


def _path(folder: Path, frame: int) -> Path:
    return folder / f"{frame:04d}.npy"
