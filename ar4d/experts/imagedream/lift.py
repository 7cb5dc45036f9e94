"""The paper's own way from one picture to Gaussians (Sec. 4.1): ImageDream, then LGM, aligned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, orbit
from ar4d.experts.hardware import missing_gpu
from ar4d.experts.imagedream.align import find_azimuth
from ar4d.experts.imagedream.expert import ImageDream
from ar4d.experts.imagedream.sampler import OnStep
from ar4d.experts.lgm.expert import LGM
from ar4d.experts.lgm.inputs import on_white, resize
from ar4d.experts.protocols import Unavailable
from ar4d.gaussians import Gaussians
from ar4d.rendering import render
from ar4d.weights.hub import fetch

Imagine = Callable[[Tensor, float, OnStep], Tensor]
"""(rgb [S, S, 3] on white, elevation in degrees, callback) -> four views [4, S, S, 3] on white."""
OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


class ImageDreamLGM:
    """`ImageToGaussians`: imagine four views, reconstruct, turn to the picture, reconstruct again."""

    name = "ImageDream + LGM"
    gpu_gib = 8.0
    """ImageDream and LGM at once; an estimate, with room."""

    def __init__(self, imagine: Imagine, lgm: LGM, on_progress: OnProgress | None = None):
        """
        Args:
            imagine: makes four views of a picture; it may load its networks and drop them again.
            on_progress: called as a `lift` proceeds.
        """
        self.imagine = imagine
        self.lgm = lgm
        self.on_progress = on_progress

    @classmethod
    def available(
        cls, device: torch.device | str, folder: Path | None = None, lgm_folder: Path | None = None
    ) -> Unavailable | None:
        """Why the chain cannot run, or None if it can (see `load`)."""
        return (
            missing_gpu(cls.name, device, cls.gpu_gib)
            or LGM.available(device, lgm_folder)
            or ImageDream.available(device, folder)
        )

    @classmethod
    def load(
        cls,
        device: torch.device | str,
        folder: Path | None = None,
        lgm_folder: Path | None = None,
        *,
        seed: int = 0,
        on_progress: OnProgress | None = None,
    ) -> ImageDreamLGM:
        """Loads LGM and makes sure of ImageDream, which is in memory only while it imagines.

        Args:
            device: CUDA computes in half precision, everything else in float32.
            folder: where the user keeps ImageDream's release; None: the model hub and its cache.
            lgm_folder: the same for LGM.
            seed: of ImageDream's noise; another seed imagines another back.

        Raises:
            UserError: weights are unavailable or do not fit.
        """
        imagedream_folder = fetch(ImageDream.release, folder)

        def imagine(rgb: Tensor, elevation_deg: float, on_step: OnStep) -> Tensor:
            imagedream = ImageDream.load(device, imagedream_folder)
            return imagedream.views(rgb, elevation_deg, seed=seed, on_step=on_step)

        return cls(imagine, LGM.load(device, lgm_folder), on_progress)

    @torch.no_grad()
    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """Makes the object in the picture three-dimensional (see `ImageToGaussians`).

        LGM makes what it makes, 65,536 less the invisible ones; a smaller budget keeps the weightiest.
        """
        picture = on_white(rgba)
        views = self.imagine(picture, elevation_deg, lambda done, total: self._report("views", done, total))
        self._report("Gaussians", 0, 2)
        imagined = self.lgm.from_rgb(views, elevation_deg)
        azimuth = find_azimuth(imagined, picture, elevation_deg)
        self._report("Gaussians", 1, 2)
        turned = quarter_views(imagined, azimuth, picture, elevation_deg, size=views.shape[1])
        gaussians = self.lgm.from_rgb(turned, elevation_deg)
        self._report("Gaussians", 2, 2)
        return within(gaussians, budget)

    def _report(self, what: str, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(what, done, total)


def quarter_views(
    gaussians: Gaussians, azimuth_deg: float, rgb: Tensor, elevation_deg: float, *, size: int
) -> Tensor:
    """[4, size, size, 3] on white, from `azimuth_deg` on; the first is the picture itself."""
    azimuths = [azimuth_deg + quarter for quarter in ORTHOGONAL_AZIMUTHS_DEG]
    views = render(gaussians, orbit(azimuths, elevation_deg, size=size)).rgb
    return torch.cat([resize(rgb[None].to(views), size), views[1:]])


def within(gaussians: Gaussians, budget: int) -> Gaussians:
    """At most `budget` Gaussians: those of the greatest opacity times area, in their old order."""
    if len(gaussians) <= budget:
        return gaussians
    area = gaussians.scales.topk(2, dim=-1).values.prod(-1)
    keep = (gaussians.opacities * area).topk(budget).indices
    return gaussians.select(keep.sort().values)
