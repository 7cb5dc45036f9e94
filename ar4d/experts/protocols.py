"""What the stages ask of an expert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
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


class WatchesClip(Protocol):
    """An expert that knows more of a frame when it has seen the others; nobody has to be one."""

    def watching(self, clip: Tensor, facing_deg: float | None = None) -> Self:
        """The same expert, having seen the clip whose frames it will be given.

        Args:
            clip: [F, S, S, 4] in [0, 1], straight alpha.
            facing_deg: azimuth towards which the object looks in the first frame, to 45 degrees or so,
                where somebody said it.
        """
        ...

    @property
    def seen_facing(self) -> tuple[float, float] | None:
        """Azimuth in [-90, 90) towards which the object seems to look in the clip's first frame, or away
        from which, and the chance that this is right to 22.5 degrees; None before any clip was seen."""
        ...


class SceneToGaussians(ImageToGaussians, Protocol):
    """A picture of a scene becomes Gaussians that show it from nearby cameras.

    `lift` puts the middle of the scene at the orbit's centre.
    """

    def relift(self, rgba: Tensor, known: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """The same for a later frame, at the scale of what is known of the scene by now (Sec. 4.2, Ĝ).

        Args:
            rgba: [S, S, 4] in [0, 1], straight alpha, seen from the reference camera.
            known: [S, S] depths of the scene as it was, world units along the camera's axis; 0 where
                there is none.
            budget: about how many Gaussians are wanted.
        """
        ...


OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much; may raise to stop it."""


@dataclass(frozen=True)
class Wish:
    """What a clip or a picture shall show, and how it is sampled; None: as the expert's authors did."""

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    num_frames: int | None = None
    width: int | None = None  # pixels; an expert rounds down to what its networks take
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None


@dataclass(frozen=True, eq=False)
class Footage:
    """A clip as an expert makes it."""

    frames: np.ndarray  # [F, H, W, 3] uint8
    fps: float


class TextToVideo(Protocol):
    """A prompt becomes a clip."""

    @property
    def name(self) -> str: ...

    def film(self, wish: Wish, on_progress: OnProgress | None = None) -> Footage:
        """Makes a clip of what the wish says."""
        ...


class TextToImage(Protocol):
    """A prompt becomes a picture."""

    @property
    def name(self) -> str: ...

    def paint(self, wish: Wish, on_progress: OnProgress | None = None) -> np.ndarray:
        """Makes a picture [H, W, 3] uint8 of what the wish says."""
        ...


class ImageToVideo(Protocol):
    """A picture becomes a clip that begins with it."""

    @property
    def name(self) -> str: ...

    def size_of(self, wish: Wish) -> tuple[int, int]:
        """Width and height of the clip that `animate` would make, pixels."""
        ...

    def animate(self, picture: np.ndarray, wish: Wish, on_progress: OnProgress | None = None) -> Footage:
        """Sets a picture in motion.

        Args:
            picture: [H, W, 3] uint8; fitted to the clip's size.
            wish: what shall happen.
        """
        ...


@dataclass(frozen=True)
class Unavailable:
    """Why an expert cannot run on this machine, in one sentence that names the remedy."""

    reason: str
