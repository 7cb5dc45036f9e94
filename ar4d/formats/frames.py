"""An asset becomes images: any times, seen from any side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ar4d.asset import Asset4D
from ar4d.cameras import RADIUS, orbit
from ar4d.formats import timeline
from ar4d.rendering import WHITE, Rendering, render

Mode = Literal["rgb", "depth", "alpha"]
Background = Literal["white", "transparent"]


def render_frames(
    asset: Asset4D,
    times: Iterable[float],
    azimuths_deg: Iterable[float],
    *,
    elevation_deg: float = 0.0,
    radius: float = RADIUS,
    size: int = 512,
    mode: Mode = "rgb",
    background: Background = "white",
) -> Iterator[np.ndarray]:
    """Renders one image for each pair of a time and an azimuth, while the caller takes them.

    Args:
        times: F times in [0, 1].
        azimuths_deg: F azimuths; 0 is the view of the clip.
        size: width and height in pixels.
        mode: "rgb"; "depth" is grey, white at `radius` - 1 and black at `radius` + 1 or where nothing
            is, so that equal greys mean equal distances in every frame; "alpha" is the coverage.
        background: "transparent" adds a fourth channel with straight (not premultiplied) alpha;
            it means nothing for "alpha".

    Yields:
        [size, size, 3 or 4] uint8.

    Raises:
        UserError: a time outside [0, 1], or Gaussians that are not finite.
    """
    for t, azimuth_deg in zip(times, azimuths_deg, strict=True):
        gaussians = timeline.evaluate(asset, t)
        cameras = orbit(azimuth_deg, elevation_deg, size=size, radius=radius)
        with torch.no_grad():
            view = render(gaussians, cameras, background=WHITE if background == "white" else None)
            yield _image(view, mode, background == "transparent", radius)


def _image(view: Rendering, mode: Mode, transparent: bool, radius: float) -> np.ndarray:
    alpha = view.alpha[0]  # [H, W]
    if mode == "alpha":
        return _bytes(alpha[..., None].expand(-1, -1, 3))
    if mode == "depth":
        distance = view.depth[0] / alpha.clamp_min(1e-6)
        nearness = ((radius + 1 - distance) / 2).clamp(0, 1)
        color = (nearness if transparent else nearness * alpha)[..., None].expand(-1, -1, 3)
    else:
        color = view.rgb[0] / alpha[..., None].clamp_min(1e-6) if transparent else view.rgb[0]
    return _bytes(torch.cat([color, alpha[..., None]], dim=-1) if transparent else color)


def _bytes(image: Tensor) -> np.ndarray:
    return (image.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
