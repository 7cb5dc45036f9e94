"""A quiet, closed body: what the first frame's view does not show of the expert's Gaussians is tidied up.

Experts are unsure about what they have not seen, and it shows as Gaussians that float by themselves, as
fog where they should be solid, and as speckled colours. The clip's own view is left as it is: everything
here acts on a Gaussian in proportion to how hidden it is.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from ar4d.gaussians import Gaussians
from ar4d.settings import BodySettings

LONER_NEIGHBOURS = 8
COLOR_NEIGHBOURS = 16
REACH = 0.7  # of the distance to the farthest of those neighbours: where their influence has fallen to 1/e


def tidied(gaussians: Gaussians, exposed: Tensor, options: BodySettings) -> Gaussians:
    """Prunes loners, closes fog and smooths colours among what is hidden, as the settings say.

    Args:
        gaussians: N Gaussians.
        exposed: [N] in [0, 1], how far the clip sees each (`ar4d.visibility.exposure`).

    Returns:
        N Gaussians or fewer, in their order.
    """
    if options == BodySettings() or len(gaussians) <= COLOR_NEIGHBOURS:
        return gaussians
    if options.loner_distance > 0:
        keep = ~loners(gaussians, exposed, options.loner_distance)
        gaussians, exposed = gaussians.select(keep), exposed[keep]
    hidden = 1 - exposed
    opacities = torch.lerp(gaussians.opacities, closed(gaussians.opacities, options.closing), hidden)
    colors = gaussians.colors
    if options.color_passes > 0:
        colors = smoothed_colors(gaussians, hidden, options.color_passes)
    return Gaussians(gaussians.means, gaussians.quats, gaussians.scales, opacities, colors)


def loners(gaussians: Gaussians, exposed: Tensor, distance: float) -> Tensor:
    """[N] bool: hidden Gaussians whose neighbours are far away.

    Args:
        distance: mean distance to the eight nearest, in medians over all Gaussians, from which one is alone.
    """
    means = gaussians.means.cpu().numpy()
    found = KDTree(means).query(means, k=min(LONER_NEIGHBOURS + 1, len(means)))[0]
    spacing = torch.from_numpy(np.asarray(found)[:, 1:].mean(1)).to(gaussians.means)
    return (spacing > distance * spacing.median()) & (exposed < 0.5)


def closed(opacities: Tensor, layers: float) -> Tensor:
    """The opacity of so many layers on top of one another: 1 - (1 - α)^layers."""
    return 1 - (1 - opacities) ** layers


def smoothed_colors(gaussians: Gaussians, hidden: Tensor, passes: int) -> Tensor:
    """Colours [N, 3] that diffuse along the surface among the hidden, with the seen ones as their source.

    One pass gives each Gaussian c ← c + h (Σ_j w_j c_j / Σ_j w_j - c) over its sixteen nearest, itself among
    them, with h its hiddenness, d_j the distance, d the largest of them and w_j = α_j exp(-(d_j / (0.7 d))²).
    """
    means = gaussians.means.cpu().numpy()
    found = KDTree(means).query(means, k=COLOR_NEIGHBOURS)
    distances, near = (torch.from_numpy(np.asarray(x)).to(gaussians.means.device) for x in found)
    reach = REACH * distances[:, -1:].clamp_min(1e-8)
    weights = gaussians.opacities[near] * torch.exp(-((distances / reach) ** 2)).to(hidden.dtype)
    weights = (weights / weights.sum(1, keepdim=True).clamp_min(1e-8))[..., None]
    colors = gaussians.colors
    for _ in range(passes):
        colors = torch.lerp(colors, (weights * colors[near]).sum(1), hidden[:, None])
    return colors
