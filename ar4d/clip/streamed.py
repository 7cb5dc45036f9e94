"""A clip's frames as floats, made of its bytes when they are asked for, so that a long clip stays small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

KEPT_BYTES = 2**25  # of frames that are kept as floats on a CPU


class Frames(Protocol):
    """Frames by index: a tensor [F, …], or frames that are made when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, k: int, /) -> Tensor: ...


class StreamedFrames:
    """`Frames` of a clip on a device. The latest are kept, on CUDA all of them."""

    def __init__(
        self,
        frames: np.ndarray,
        convert: Callable[[np.ndarray], np.ndarray],
        device: torch.device,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        """
        Args:
            frames: [F, S, S, 4] uint8.
            convert: makes the float32 frame [S, S, …] of one of them.
            kept_bytes: of the frames that are kept, at least one.
        """
        self._frames = frames
        size = convert(frames[0]).nbytes if len(frames) else 1
        kept = len(frames) if device.type == "cuda" else max(1, kept_bytes // size)
        self._made = lru_cache(maxsize=kept)(lambda k: torch.from_numpy(convert(frames[k])).to(device))

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, k: int, /) -> Tensor:
        """Frame `k`, from 0; IndexError beyond the last."""
        if not -len(self) <= k < len(self):
            raise IndexError(f"frame {k} of {len(self)}")
        return self._made(k % len(self))

    def __iter__(self) -> Iterator[Tensor]:
        return (self[k] for k in range(len(self)))
