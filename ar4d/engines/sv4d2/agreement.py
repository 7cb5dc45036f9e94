"""Views that show something else than the others."""

from __future__ import annotations

from collections.abc import Generator
from statistics import median

import torch
from torch import Tensor

from ar4d.cameras import Cameras
from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.events import Event, Warned
from ar4d.gaussians import Gaussians
from ar4d.rendering import render

SOLID = 0.5


def leave_out_strangers(
    gaussians: Gaussians, pictures: Pictures, least: float
) -> Generator[Event, None, Pictures]:
    """The pictures without views that the fitted first frame contradicts more than it does the others.

    A fit of few steps still differs from every view, most of all where the subject is thin. A view is
    therefore measured by the median over all views, the clip's own among them.

    Args:
        gaussians: fitted to all views of the first frame.
        least: a view is left out whose masks' IoU is lower than this share of the median.

    Yields:
        A warning for each of them.
    """
    if pictures.num_views == 0:
        return pictures
    own = mask_iou(gaussians, pictures.clip_camera(), pictures.clip_alpha[:1])
    ious = mask_iou(gaussians, pictures.view_cameras(range(pictures.num_views)), pictures.view_alpha[:, 0])
    middle = median(own + ious)
    for row, iou in enumerate(ious):
        if iou < least * middle:
            yield Warned(
                f"The view from {pictures.azimuths_deg[row]:g}° was left out: its outline agrees with the "
                f"fitted first frame to {iou:.0%}, those of the others to {middle:.0%}."
            )
            pictures = pictures.without(row)
    return pictures


@torch.no_grad()
def mask_iou(gaussians: Gaussians, cameras: Cameras, alpha: Tensor) -> list[float]:
    """Intersection over union of the masks of C pictures [C, H, W] and the Gaussians' from their cameras."""
    rendered, drawn = render(gaussians, cameras).alpha > SOLID, alpha > SOLID
    both = (rendered & drawn).sum((1, 2)).double()
    either = (rendered | drawn).sum((1, 2)).double()
    return (both / either.clamp_min(1)).tolist()
