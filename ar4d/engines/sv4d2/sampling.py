"""Which frames and views a step looks at: progressive frames and orthogonal views (Sec. 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.engines.sv4d2.settings import DynamicSettings

VIEWS_PER_STEP = 3  # generated ones; the clip's own view is always there


def newest_frame(u: int, num_frames: int, options: DynamicSettings) -> int:
    """The last frame of the window in step `u`: from 1 to F - 1, linearly over a share of the steps.

    Locked by `test_the_window_grows_linearly_to_the_whole_clip` (tests/engines/sv4d2/test_sampling.py).
    """
    last = num_frames - 1
    growing = options.window * options.iterations
    if not options.progressive_frames or growing <= 0 or last <= 1:
        return last
    return min(last, 1 + int((last - 1) * u / growing))


@dataclass(eq=False)
class FrameSampler:
    """Frames in turn: the first, the newest, and two drawn from the window (the paper has four a step)."""

    random: np.random.Generator
    count: int = 0

    def next(self, newest: int) -> int:
        """A frame in [0, newest]."""
        turn = self.count % 4
        self.count += 1
        if turn == 1:
            return newest
        return 0 if turn == 3 else int(self.random.integers(newest + 1))


def view_rows(pictures: Pictures, frame: int, orthogonal: bool, random: np.random.Generator) -> list[int]:
    """The generated views of a step, at most `VIEWS_PER_STEP`."""
    usable = [v for v in range(pictures.num_views) if pictures.trust[v, frame] > 0]
    if not usable:
        return []
    if not orthogonal:
        return random.permutation(usable)[:VIEWS_PER_STEP].tolist()
    return pictures.orthogonal_rows(int(random.choice(usable)), frame)[:VIEWS_PER_STEP]
