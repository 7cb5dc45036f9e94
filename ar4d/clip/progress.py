"""How the making of a clip reports its progress."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

OnFrame = Callable[[str, int, int, np.ndarray | None], None]
"""Called after each frame: what is being done in words, the frame's number from 1, the number of frames, and
a picture of it [h, w, 4] uint8 where there is one. An error that it raises ends the work."""


def ignore(task: str, number: int, total: int, picture: np.ndarray | None) -> None:
    """Take no notice of the progress."""
