"""What the stages ask of an expert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, TypeGuard, runtime_checkable

import numpy as np
from torch import Tensor

from ar4d.events import Role
from ar4d.gaussians import Gaussians
from ar4d.reporting import OnProgress
from ar4d.views import ViewGrid


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


@runtime_checkable
class ClipAware(Protocol):
    """Optional protocol for experts that improve when they see the whole clip."""

    def with_clip(self, clip: Tensor, facing_deg: float | None = None) -> Self:
        """The same expert, having seen the clip whose frames it will be given.

        Args:
            clip: [F, S, S, 4] in [0, 1], straight alpha.
            facing_deg: azimuth that the object faces in the first frame, accurate to about 45 degrees;
                None where the user gave none.
        """
        ...

    @property
    def facing_estimate(self) -> tuple[float, float] | None:
        """The estimated facing in the clip's first frame, or None before a clip was seen.

        An azimuth in [-90, 90) degrees (front and back are not told apart) and the probability that it is
        right to 22.5 degrees.
        """
        ...


class ClipToViews(Protocol):
    """A clip becomes a grid of views (Sec. 4.2's pseudo-views, made for the whole clip at once)."""

    @property
    def name(self) -> str: ...

    @property
    def azimuths_deg(self) -> tuple[float, ...]:
        """The azimuths that it can draw, 0 first."""
        ...

    def imagine(self, clip: Tensor, frozen: Tensor | None, elevation_deg: float, seed: int) -> ViewGrid:
        """Draws the clip from other sides.

        Args:
            clip: [F, S, S, 4] in [0, 1], straight alpha, seen from the reference camera.
            frozen: [V, S, S, 4] renders of the canonical frame's Gaussians at `azimuths_deg`: a hint, not
                the truth.
            elevation_deg: of all cameras, positive is above.
            seed: of the expert's randomness.
        """
        ...


class DrawsOver(Protocol):
    """Optional protocol for `ClipToViews` experts that can improve views which exist already."""

    @property
    def name(self) -> str: ...

    def draw_over(self, clip: Tensor, views: ViewGrid, noise: float, seed: int) -> ViewGrid:
        """Draws the clip from the views' sides again, beginning with the views instead of noise.

        Args:
            clip: [F, S, S, 4] in [0, 1], straight alpha, seen from the reference camera.
            views: what is there, at the azimuths of `ClipToViews.azimuths_deg`; row 0 is the clip.
            noise: how freely, as the noise level σ of a diffusion model: the details that are finer than
                what this noise leaves visible are drawn again. Experts that do not diffuse ignore it.
            seed: of the expert's randomness.
        """
        ...


def draws_over(expert: object) -> TypeGuard[DrawsOver]:
    """Whether an expert is a `DrawsOver`, also where another object forwards its methods."""
    return callable(getattr(expert, "draw_over", None))


class ClipToGaussians(Protocol):
    """A clip becomes Gaussians that move, in one pass."""

    @property
    def name(self) -> str: ...

    def animate(self, clip: Tensor, budget: int, elevation_deg: float, seed: int) -> list[Gaussians]:
        """One set per frame; Gaussian i is the same one in all frames.

        Args:
            clip: [F, S, S, 4] in [0, 1], straight alpha.
            budget: about how many Gaussians are wanted.
        """
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


@dataclass(frozen=True)
class VideoRequest:
    """What a clip or a picture is to show, and how it is sampled; None: as the expert's authors did."""

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    num_frames: int | None = None
    width: int | None = None  # pixels; an expert rounds down to what its networks take
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None


@dataclass(frozen=True, eq=False)
class VideoFrames:
    """A clip as an expert makes it."""

    frames: np.ndarray  # [F, H, W, 3] uint8
    fps: float


class TextToVideo(Protocol):
    """A prompt becomes a clip."""

    @property
    def name(self) -> str: ...

    def generate_video(self, request: VideoRequest, on_progress: OnProgress | None = None) -> VideoFrames:
        """Makes a clip of what the request describes."""
        ...


class TextToImage(Protocol):
    """A prompt becomes a picture."""

    @property
    def name(self) -> str: ...

    def generate_image(self, request: VideoRequest, on_progress: OnProgress | None = None) -> np.ndarray:
        """Makes a picture [H, W, 3] uint8 of what the request describes."""
        ...


class ImageToVideo(Protocol):
    """A picture becomes a clip that begins with it."""

    @property
    def name(self) -> str: ...

    def size_of(self, request: VideoRequest) -> tuple[int, int]:
        """Width and height of the clip that `animate` would make, pixels."""
        ...

    def animate(
        self, picture: np.ndarray, request: VideoRequest, on_progress: OnProgress | None = None
    ) -> VideoFrames:
        """Sets a picture in motion.

        Args:
            picture: [H, W, 3] uint8; fitted to the clip's size.
            request: what happens in it.
        """
        ...


@dataclass(frozen=True)
class Unavailable:
    """Why an expert cannot run on this machine, in one sentence that names the remedy."""

    reason: str


ROLES: dict[Role, type] = {
    "image_to_gaussians": ImageToGaussians,
    "views_to_gaussians": ViewsToGaussians,
    "scene_to_gaussians": SceneToGaussians,
    "clip_to_views": ClipToViews,
    "clip_to_gaussians": ClipToGaussians,
    "text_to_image": TextToImage,
    "text_to_video": TextToVideo,
    "image_to_video": ImageToVideo,
}
"""What the experts of each role can do. A third-party engine may ask for roles of its own."""
