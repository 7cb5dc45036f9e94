"""What the stages ask of an expert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ar4d.gaussians import Gaussians


class ImageToGaussians(Protocol):
    """One picture of an object becomes Gaussians (Sec. 4.1: the start of stage 1)."""

    @property
    def name(self) -> str: ...

    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """Makes the object in the picture three-dimensional.

        Args:
            rgba: [S, S, 4] in [0, 1], straight alpha, seen from the reference camera.
            budget: about how many Gaussians are wanted; the expert comes as close as it can.
            elevation_deg: of the reference camera, positive is above.

        Returns:
            Gaussians in world coordinates that show the picture from the reference camera.
        """
        ...


class ViewsToGaussians(Protocol):
    """Four orthogonal views become pseudo-Gaussians Ĝ (Sec. 4.2, progressive view sampling)."""

    @property
    def name(self) -> str: ...

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        """Reconstructs the object from its views.

        Args:
            rgba: [4, S, S, 4] in [0, 1], straight alpha, at azimuths 0, 90, 180, 270 degrees and the
                reference elevation. View 0 is the actual frame of the clip, the others are renders.
            elevation_deg: of all four cameras, positive is above.
        """
        ...


@dataclass(frozen=True)
class Unavailable:
    """Why an expert cannot run on this machine, in one sentence that names the remedy."""

    reason: str
