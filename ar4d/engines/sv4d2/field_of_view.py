"""Which field of view the generated views have, where their source does not say (`view_fov`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import replace

import torch

from ar4d.cameras import FOV_Y_DEG
from ar4d.engines.sv4d2.losses import StepLoss
from ar4d.engines.sv4d2.optimize import Fit
from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.engines.sv4d2.settings import SV4D2Settings
from ar4d.events import Event, Progress, Warned
from ar4d.gaussians import Gaussians

FIELDS_DEG = (20.0, 33.8, FOV_Y_DEG)
"""Of a long lens, of SV3D's training renders, and of this program's own cameras."""
TRIAL = 4
"""A trial takes one in so many steps of the static phase."""


def with_best_fov(
    first: Gaussians, pictures: Pictures, settings: SV4D2Settings
) -> Generator[Event, None, Pictures]:
    """The pictures with the field of view whose trial fit of the first frame leaves the smallest loss.

    Args:
        first: an expert's Gaussians of the first frame; each trial begins with them.

    Yields:
        Progress, and a sentence where it is another one than this program's.
    """
    losses = {}
    for done, fov in enumerate(FIELDS_DEG, start=1):
        losses[fov] = trial_loss(first, pictures.with_view_fov(fov), settings)
        yield Progress("trying fields of view", done, len(FIELDS_DEG))
    best = min(losses, key=losses.__getitem__)
    if best != FOV_Y_DEG:
        yield Warned(
            f"The views from other sides fit a field of view of {best:g}° better than {FOV_Y_DEG:g}°; their "
            f"cameras have {best:g}° in this run."
        )
    return pictures.with_view_fov(best)


def trial_loss(first: Gaussians, pictures: Pictures, settings: SV4D2Settings) -> float:
    """The loss at the first frame, over all views, after a short static phase."""
    static = replace(settings.static, enabled=True, iterations=max(1, settings.static.iterations // TRIAL))
    fit = Fit.of(first, pictures, replace(settings, static=static), num_reported=1)
    deque(fit.static(), maxlen=0)
    loss = StepLoss(pictures, settings.loss, weigh=False, lpips=fit.lpips)
    with torch.no_grad():
        return loss.at(fit.gaussians(0), 0, list(range(pictures.num_views)), 0).item()
