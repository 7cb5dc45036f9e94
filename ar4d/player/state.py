"""What a browser is told of an asset: the part that a server's viewer and an exported page share."""

from __future__ import annotations

from ar4d.gaussians import Gaussians

DEPTH_COLORS = (
    (48, 18, 59), (70, 107, 227), (40, 187, 236), (49, 242, 153), (162, 252, 60),
    (237, 208, 58), (251, 128, 34), (210, 49, 5), (122, 4, 3),
)  # fmt: skip
"""Colours of depth in equal steps, from the far side of the object to its near side."""


def extent(gaussians: Gaussians | None) -> float:
    """The radius around the origin that holds nearly all of the object; 1 if there is none yet."""
    if gaussians is None:
        return 1.0
    distances = gaussians.means.norm(dim=-1).cpu()
    return max(float(distances.quantile(0.98)), 1e-3) if len(distances) else 1.0
