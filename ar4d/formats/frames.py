"""An asset becomes images: any times, seen from any side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import torch
from PIL import ImageColor
from torch import Tensor

from ar4d.asset import Asset4D
from ar4d.cameras import RADIUS, Cameras, orbit
from ar4d.errors import UserError
from ar4d.formats import timeline
from ar4d.rendering import Rendering, render

Mode = Literal["rgb", "depth", "alpha"]
Background = str
"""white, black, transparent, or a colour: #rrggbb or a name of CSS."""

MIN_SIZE, MAX_SIZE = 16, 4096  # pixels along a side


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
        background: "transparent" adds a fourth channel with straight (not premultiplied) alpha; a colour
            fills what "rgb" leaves free. It means nothing for "alpha".

    Yields:
        [size, size, 3 or 4] uint8.

    Raises:
        UserError: a time outside [0, 1], no such background, or Gaussians that are not finite.
    """
    cameras = (orbit(azimuth_deg, elevation_deg, size=size, radius=radius) for azimuth_deg in azimuths_deg)
    return render_views(asset, times, cameras, radius=radius, mode=mode, background=background)


def render_views(
    asset: Asset4D,
    times: Iterable[float],
    cameras: Iterable[Cameras],
    *,
    radius: float = RADIUS,
    mode: Mode = "rgb",
    background: Background = "white",
) -> Iterator[np.ndarray]:
    """Renders one image for each pair of a time and a camera, while the caller takes them.

    Args:
        times: F times in [0, 1].
        cameras: F single cameras.
        radius: distance that "depth" shows as middle grey.
        mode, background: as `render_frames`.

    Yields:
        [H, W, 3 or 4] uint8.

    Raises:
        UserError: as `render_frames`.
    """
    color = background_color(background)
    for t, camera in zip(times, cameras, strict=True):
        gaussians = timeline.evaluate(asset, t)
        with torch.no_grad():
            view = render(gaussians, camera, background=color)
            yield _image(view, mode, color is None, radius)


def background_color(background: Background) -> tuple[float, float, float] | None:
    """RGB in [0, 1] of a background; None if it is transparent.

    Raises:
        UserError: there is no such colour.
    """
    if background == "transparent":
        return None
    try:
        red, green, blue = ImageColor.getrgb(background)[:3]
    except (ValueError, AttributeError) as error:
        raise UserError(
            f'There is no background "{background}"; choose white, black, transparent or a colour as #3366ff.'
        ) from error
    return red / 255, green / 255, blue / 255


def check_size(width: int, height: int) -> None:
    """Checks the size of an image.

    Raises:
        UserError: a side is out of range.
    """
    for value in (width, height):
        if not MIN_SIZE <= value <= MAX_SIZE:
            raise UserError(
                f"A picture of {width} × {height} pixels is out of range; "
                f"each side has {MIN_SIZE} to {MAX_SIZE} pixels."
            )


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
