"""Views that exist already, in the role of an expert that draws them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ar4d.errors import UserError
from ar4d.views import ViewGrid


@dataclass(frozen=True, eq=False)
class PlayedViews:
    """`ClipToViews` that draws nothing: of an interrupted run, of a folder, or true views."""

    grid: ViewGrid
    name: str = "played"

    @property
    def azimuths_deg(self) -> tuple[float, ...]:
        """As `ClipToViews.azimuths_deg`."""
        return tuple(self.grid.azimuths_deg.tolist())

    def imagine(self, clip: Tensor, frozen: Tensor | None, elevation_deg: float, seed: int) -> ViewGrid:
        """As `ClipToViews.imagine`.

        Raises:
            UserError: the views are of another number of frames than the clip.
        """
        if self.grid.num_frames != len(clip):
            raise UserError(
                f"The views show {self.grid.num_frames} frames and the clip has {len(clip)}; "
                "make them from the same clip."
            )
        return self.grid.to(clip.device)
