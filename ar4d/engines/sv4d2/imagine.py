"""The second stage's targets: views that the expert draws over the renders."""

from __future__ import annotations

import time
from collections.abc import Generator

import torch
from torch import Tensor

from ar4d.engines.sv4d2.optimize import Fit
from ar4d.engines.sv4d2.settings import SV4D2Settings
from ar4d.events import Event, StageFinished, StageStarted
from ar4d.experts.protocols import DrawsOver
from ar4d.images import unpremultiply
from ar4d.rendering import render
from ar4d.reporting import reporting_progress, take_warnings
from ar4d.views import ViewGrid


def draw_over(
    clip: Tensor, fit: Fit, grid: ViewGrid, artist: DrawsOver, settings: SV4D2Settings
) -> Generator[Event, None, ViewGrid]:
    """Noises and denoises the renders of all frames at the grid's cameras.

    Yields:
        Progress, and what had to be made smaller.
    """
    started = time.perf_counter()
    yield StageStarted("imagine-again", 0)
    drawn = renders(fit, grid, clip.shape[1])
    noise, seed = settings.second_stage.noise, settings.seed
    again = yield from reporting_progress(artist, lambda: artist.draw_over(clip, drawn, noise, seed))
    yield from take_warnings(artist)
    yield StageFinished("imagine-again", time.perf_counter() - started)
    return again


@torch.no_grad()
def renders(fit: Fit, grid: ViewGrid, size: int) -> ViewGrid:
    """The Gaussians as the grid's cameras see them; row 0 is the grid's own."""
    rows = [grid.rgba[0].to(fit.pictures.clip_rgb)]
    for row in range(fit.pictures.num_views):
        camera = fit.pictures.view_cameras([row], size)
        views = [render(fit.gaussians(k), camera, background=None) for k in range(grid.num_frames)]
        rgba = torch.cat([torch.cat([view.rgb, view.alpha[..., None]], dim=-1) for view in views])
        rows.append(unpremultiply(rgba))
    return ViewGrid(torch.stack(rows), grid.azimuths_deg, grid.elevations_deg, grid.trust)
