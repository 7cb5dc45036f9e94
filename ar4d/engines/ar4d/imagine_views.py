"""Between stages 1 and 2, where an expert for it is chosen: the clip from other sides."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.engines.draw_views import draw_views
from ar4d.events import Event
from ar4d.experts.protocols import ClipToViews
from ar4d.gaussians import Gaussians
from ar4d.images import unpremultiply
from ar4d.rendering import render
from ar4d.settings import ReferenceRig
from ar4d.views import ViewGrid


def imagine_views(
    rgba: Tensor, first: Gaussians, expert: ClipToViews, rig: ReferenceRig, seed: int
) -> Generator[Event, None, ViewGrid]:
    """Turns the clip into several.

    Args:
        rgba: [F, S, S, 4] the clip in [0, 1], straight alpha.
        first: G₁; its renders from the expert's azimuths are a hint for the expert.
        rig: the cameras.
        seed: of the run.

    Yields:
        Progress, what had to be made smaller, then the views.
    """
    with torch.no_grad():
        views = render(first, orbit(expert.azimuths_deg, rig.elevation_deg, size=rig.size), background=None)
    frozen = unpremultiply(torch.cat([views.rgb, views.alpha[..., None]], dim=-1))
    return draw_views(rgba, frozen, expert, rig.elevation_deg, seed)
