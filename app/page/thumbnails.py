"""Small pictures for the page, as data addresses: a file of its own could be asked for by anybody."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import Image

SIDE = 256  # pixels
Kind = Literal["input", "initial", "generated", "refined"]


def embed(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


@lru_cache(maxsize=64)
def sheet(path: Path, changed: float) -> str:
    """A draft's sheet of pictures; `changed` is the file's time, so that a new one is read."""
    return embed(path.read_bytes(), "image/webp" if path.suffix == ".webp" else "image/jpeg")


@lru_cache(maxsize=512)
def picture(run: Path, kind: Kind, frame: int, changed: float) -> str:
    """A run's frame as the reference camera sees it, on white.

    Args:
        kind: the clip's own frame, or the result of stage 1, 2 or 3 at its time.
        changed: time of the file that it is made from.
    """
    image = _input(run, frame) if kind == "input" else _render(run, kind, frame)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=86, method=2)
    return embed(file.getvalue(), "image/webp")


def file_of(run: Path, kind: Kind, frame: int) -> Path:
    """What a picture is made from: it exists as soon as the picture can be made."""
    if kind == "input":
        return run / "input" / f"{frame:04d}.png"
    if kind == "refined":
        return run / "refined.safetensors"
    if kind == "initial" or frame == 0:
        return run / "stage1.safetensors"
    return run / "frames" / f"{frame:04d}.safetensors"


def picture_if_made(run: Path, kind: Kind, frame: int) -> str | None:
    """The picture, or None as long as there is nothing to show."""
    try:
        changed = file_of(run, kind, frame).stat().st_mtime
    except FileNotFoundError:
        return None
    return picture(run, kind, frame, changed)


def _input(run: Path, frame: int) -> Image.Image:
    with Image.open(file_of(run, "input", frame)) as file:
        rgba = file.convert("RGBA")
    rgba.thumbnail((SIDE, SIDE))
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _render(run: Path, kind: Kind, frame: int) -> Image.Image:
    import torch

    from ar4d.asset import frame_time, load_asset
    from ar4d.cameras import orbit
    from ar4d.gaussians import Gaussians
    from ar4d.rendering import render
    from ar4d.runs import read_record

    if kind == "refined":
        asset = load_asset(file_of(run, kind, frame))
        gaussians = asset.at(frame_time(frame, asset.num_frames))
    else:
        gaussians = Gaussians.load(file_of(run, kind, frame))
    elevation = read_record(run / "run.json").recipe.settings.elevation_deg
    with torch.no_grad():
        rgb = render(gaussians, orbit(0.0, elevation, size=SIDE)).rgb[0]
    return Image.fromarray((rgb.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
