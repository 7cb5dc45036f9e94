"""Views that exist already, in the role of an expert that draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ar4d.errors import UserError
from ar4d.views import ViewGrid


@dataclass(frozen=True, eq=False)
class BegunViews:
    """Views of the first frames, of a run that was interrupted while an expert drew them."""

    azimuths_deg: tuple[float, ...]  # V, without the clip's own
    rgba: Tensor  # [V, K, S, S, 4]

    def continued_by(self, expert: Any) -> Any:
        """The expert, which draws the other frames if it can go on from these, and all of them if not."""
        goes_on = (
            getattr(expert, "can_continue", False) and tuple(expert.azimuths_deg[1:]) == self.azimuths_deg
        )
        return ContinuedViews(expert, self.rgba) if goes_on else expert


@dataclass(frozen=True, eq=False)
class KnownTokens:
    """Tokens of the first frames, of a run that was interrupted while an expert predicted them."""

    codes: Tensor  # [K, V, N, codebooks] int64


class ContinuedViews:
    """`ClipToViews` by an expert that has drawn the first frames already; in all else that expert."""

    def __init__(self, expert: Any, known: Tensor) -> None:
        self.__dict__.update(_expert=expert, _known=known)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._expert, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._expert, name, value)

    def imagine(self, clip: Tensor, frozen: Tensor | None, elevation_deg: float, seed: int) -> ViewGrid:
        """As `ClipToViews.imagine`."""
        return self._expert.imagine(clip, frozen, elevation_deg, seed, known=self._known)


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
