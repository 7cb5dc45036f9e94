"""Views that show something else than the others."""

from __future__ import annotations

from collections.abc import Generator

import torch

from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.events import Event, Warned
from ar4d.gaussians import Gaussians
from ar4d.rendering import render

SOLID = 0.5


@torch.no_grad()
def mask_iou(gaussians: Gaussians, pictures: Pictures) -> list[float]:
    """Intersection over union of each generated view's mask and the Gaussians', at the first frame."""
    if pictures.num_views == 0:
        return []
    rendered = render(gaussians, pictures.view_cameras(range(pictures.num_views))).alpha > SOLID
    drawn = pictures.view_alpha[:, 0] > SOLID
    both = (rendered & drawn).sum((1, 2)).double()
    either = (rendered | drawn).sum((1, 2)).double()
    return (both / either.clamp_min(1)).tolist()


def leave_out_strangers(
    gaussians: Gaussians, pictures: Pictures, least: float
) -> Generator[Event, None, Pictures]:
    """The pictures without views that the fitted first frame contradicts.

    Args:
        gaussians: fitted to all views of the first frame.
        least: IoU of the masks below which a view is left out.

    Yields:
        A warning for each of them.
    """
    for row, iou in enumerate(mask_iou(gaussians, pictures)):
        if iou < least:
            yield Warned(
                f"The view from {pictures.azimuths_deg[row]:g}° was left out: its outline agrees with the "
                f"others to {iou:.0%} only."
            )
            pictures = pictures.without(row)
    return pictures
