"""Windows of a network's size that slide along time and along views (4Real-Video, Sec. 3.3).

What exists already is given to a window; every cell is made once, in the first window that reaches it, and
never overwritten. The paper slides along time first, for the given views, then along views; by half a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Cells that are denoised together."""

    views: tuple[int, ...]
    times: tuple[int, ...]
    known: tuple[tuple[bool, ...], ...]
    """[views][times] which cells exist before it; the others are made by it."""

    @property
    def made(self) -> list[tuple[int, int]]:
        """The (view, time) of the cells that it makes."""
        return [
            (view, time)
            for view, row in zip(self.views, self.known, strict=True)
            for time, known in zip(self.times, row, strict=True)
            if not known
        ]


def plan(
    num_views: int, order: Sequence[int], views: int, times: int, stride: int, done: int = 0
) -> list[Window]:
    """The windows over a grid whose view 0 is known.

    Args:
        num_views: of the grid.
        order: its times, in the order in which the windows slide over them.
        views, times: size of a window.
        stride: new times of each window but the first, at least 1 and at most `times`.
        done: times, the first ones of `order`, of which all views exist already.

    Locked by `test_every_cell_is_made_once` (tests/experts/grid/test_windows.py).
    """
    exists = {(0, time) for time in order} | {(v, t) for v in range(num_views) for t in order[:done]}
    windows = []
    for first_view in starts(num_views, views, max(1, views // 2)):
        rows = tuple(range(first_view, min(first_view + views, num_views)))
        for first in starts(len(order), times, stride):
            columns = tuple(order[first : first + times])
            known = tuple(tuple((v, t) in exists for t in columns) for v in rows)
            window = Window(rows, columns, known)
            if window.made:
                windows.append(window)
                exists.update(window.made)
    return windows


def starts(count: int, size: int, stride: int) -> list[int]:
    """First places of windows of `size` over `count` cells; the last one ends with the cells."""
    if count <= size:
        return [0]
    places = list(range(0, count - size, stride))
    return [*places, count - size]
