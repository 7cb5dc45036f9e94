"""The result: an animated set of Gaussians that can be evaluated at any time."""

from __future__ import annotations

from typing import Protocol

from ar4d.gaussians import Gaussians


class Asset4D(Protocol):
    """Gaussians that move, for t in [0, 1] over the clip's length."""

    num_frames: int  # frames of the clip it was made from
    fps: float  # of those frames, so that the clip lasts (num_frames - 1) / fps seconds

    def at(self, t: float) -> Gaussians:
        """The Gaussians at time `t` in [0, 1]; continuous in t. Frame k is t = k / (num_frames - 1)."""
        ...
