"""How every engine has an expert draw the clip from other sides."""

from __future__ import annotations

import time
from collections.abc import Generator

from torch import Tensor

from ar4d.events import Event, StageFinished, StageStarted, ViewsImagined
from ar4d.experts.protocols import ClipToViews
from ar4d.reporting import reporting_progress, take_warnings
from ar4d.views import ViewGrid


def draw_views(
    clip: Tensor, frozen: Tensor | None, artist: ClipToViews, elevation_deg: float, seed: int
) -> Generator[Event, None, ViewGrid]:
    """Turns the clip into several, as the stage "imagine".

    Args:
        clip: [F, S, S, 4] straight alpha in [0, 1].
        frozen: [V, S, S, 4] a hint, as `ClipToViews.imagine` takes it.
        elevation_deg: of all cameras.
        seed: of the run.

    Yields:
        Progress, views as they are drawn, what had to be made smaller, and all views.
    """
    started = time.perf_counter()
    yield StageStarted("imagine", 0)
    grid = yield from reporting_progress(artist, lambda: artist.imagine(clip, frozen, elevation_deg, seed))
    yield from take_warnings(artist)
    yield ViewsImagined(grid)
    yield StageFinished("imagine", time.perf_counter() - started)
    return grid
