"""Small pictures for the page, as data URLs: separate files could be requested by anyone."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from ar4d.errors import UserError
from ar4d.runs import Run

SIDE = 256  # pixels


def embed(data: bytes, media_type: str) -> str:
    """The data URL of a file's content."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


@lru_cache(maxsize=64)
def sheet(path: Path, changed: float) -> str:
    """A draft's sheet of pictures; `changed` is the file's time, so that a new file is read."""
    return embed(path.read_bytes(), "image/webp" if path.suffix == ".webp" else "image/jpeg")


@lru_cache(maxsize=512)
def _picture(run: Path, source: Path, frame: int, changed: float) -> str:
    """A picture made from `source`; `changed` is that file's time, so that a new one is drawn."""
    image = _input(source) if source.suffix == ".png" else _render(run, source, frame)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=86, method=2)
    return embed(file.getvalue(), "image/webp")


def input_picture(run: Path, frame: int) -> str | None:
    """The clip's frame on white; None if it does not exist."""
    return _picture_of(run, run / "input" / f"{frame:04d}.png", frame)


def frame_picture(run: Run, frame: int) -> str | None:
    """A finished frame as the reference camera sees it; None while it does not exist."""
    return _picture_of(run.folder, run.frame_path(frame), frame)


def imagined_picture(run: Run, frame: int) -> str | None:
    """The canonical frame as an expert made it; None while it does not exist, and once it is fitted."""
    return _picture_of(run.folder, run.imagined_path, frame)


def asset_picture(run: Run, frame: int) -> str | None:
    """The asset at a frame's time as the reference camera sees it; None while it does not exist."""
    return _picture_of(run.folder, run.result_path, frame)


def preview_picture(run: Run, frame: int) -> str | None:
    """The asset that a refinement has so far, at a frame's time; None while it does not exist."""
    return _picture_of(run.folder, run.preview_path, frame)


def _picture_of(run: Path, source: Path, frame: int) -> str | None:
    try:
        return _picture(run, source, frame, source.stat().st_mtime)
    except FileNotFoundError:
        return None
    except UserError:
        if source.exists():
            raise
        return None  # a preview that has just been replaced


def _input(source: Path) -> Image.Image:
    with Image.open(source) as file:
        rgba = file.convert("RGBA")
    rgba.thumbnail((SIDE, SIDE))
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _render(run: Path, source: Path, frame: int) -> Image.Image:
    import torch

    from ar4d.asset import frame_time, load_asset
    from ar4d.cameras import orbit
    from ar4d.gaussians import Gaussians
    from ar4d.rendering import render

    opened = Run.open(run)
    if source in (opened.result_path, opened.preview_path):
        asset = load_asset(source)
        gaussians = asset.at(frame_time(frame, asset.num_frames))
    else:
        gaussians = Gaussians.load(source)
    elevation = opened.record.recipe.settings.elevation_deg
    with torch.no_grad():
        rgb = render(gaussians, orbit(0.0, elevation, size=SIDE)).rgb[0]
    return Image.fromarray((rgb.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
