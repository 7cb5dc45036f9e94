"""The pictures of a player: its poster, and the clip's frames beside the object."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from ar4d.cameras import orbit
from ar4d.gaussians import Gaussians
from ar4d.rendering import render

POSTER_SIZE = 640
INPUT_SIZE = 160


@torch.no_grad()
def poster(gaussians: Gaussians, elevation_deg: float, size: int = POSTER_SIZE) -> Image.Image:
    """The object from the clip's camera, RGBA with straight alpha, `size` pixels wide and high."""
    rendering = render(gaussians.to("cpu"), orbit(0.0, elevation_deg, size=size), (0.0, 0.0, 0.0))
    alpha = rendering.alpha[0, ..., None].clamp(0, 1)
    straight = (rendering.rgb[0] / alpha.clamp_min(1e-3)).clamp(0, 1)
    rgba = (torch.cat([straight, alpha], dim=-1) * 255).round().to(torch.uint8)
    return Image.fromarray(np.asarray(rgba), "RGBA")


def webp(image: Image.Image, quality: int = 80) -> bytes:
    """A WebP file with alpha."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality, method=6)
    return file.getvalue()


def preview(image: Image.Image, width: int = 1200, height: int = 630) -> bytes:
    """A JPEG on white in the shape that other programs show of a link."""
    page = Image.new("RGB", (width, height), "white")
    shown = image.resize((height, height), Image.Resampling.LANCZOS)
    page.paste(shown, ((width - height) // 2, 0), shown)
    file = io.BytesIO()
    page.save(file, "JPEG", quality=88)
    return file.getvalue()


def small_frames(frames: np.ndarray) -> list[bytes]:
    """The clip's frames [F, S, S, 4] uint8 as small WebP files."""
    files = []
    for frame in frames:
        image = Image.fromarray(frame)
        image.thumbnail((INPUT_SIZE, INPUT_SIZE))
        files.append(webp(image, quality=72))
    return files
