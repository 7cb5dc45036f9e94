"""Numbers by the name of their metric, and how they are averaged and read."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any


class Scores(dict[str, float | None]):
    """Means over frames (and views) by the metric's name. None: not measured, or not defined there.

    `scores.psnr` is `scores["psnr"]`.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(f"there is no metric called {name} among {', '.join(self)}") from error


def mean(scores: Sequence[Scores]) -> Scores | None:
    """The mean of each number over those that have it; None where there are no scores."""
    if not scores:
        return None
    names = dict.fromkeys(name for s in scores for name in s)
    known = {name: [x for s in scores if (x := s.get(name)) is not None] for name in names}
    return Scores({name: fmean(values) if values else None for name, values in known.items()})
