"""Cut-outs that visitors look at and correct. Made in a worker, because it opens untrusted files."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import ConfigDict, with_config

from ar4d.clip import Clip, ClipSettings, load_clip
from ar4d.clip.sources import Source, choose_frames, open_source
from ar4d.errors import UserError
from ar4d.files import atomic, write_text
from ar4d.records import load_record

WHOLE_SIDE = 320  # pixels of a whole picture's longer side on the page
TILE_SIDE = 256  # pixels of a cut-out frame on the page
_SHARPNESS = 2.0  # source pixels per pixel of the clip that a box keeps

Box = tuple[float, float, float, float]  # left, top, right, bottom in [0, 1] of the whole picture


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class CutoutRecord:
    """Contents of draft.json: what the page needs to know about a cut-out."""

    settings: ClipSettings
    size: int
    """Width and height of the cut-out in pixels."""
    box: Box | None
    num_frames: int
    fps: float
    length: float
    """Length of the source in seconds."""
    source_frames: int
    """Number of frames of the source."""
    width: int
    """Width of the source in pixels."""
    height: int
    """Height of the source in pixels."""
    crop: tuple[float, float, float]
    """x, y and side of the crop in pixels of the source."""
    matting: str
    warnings: list[str]
    whole_tile: tuple[int, int]
    """Width and height of one picture in whole.jpg."""
    whole_count: int
    """Number of pictures in whole.jpg."""
    canonical_reason: str = ""
    """Why the canonical frame is the one it is; empty where the first was taken without a choice."""

    @staticmethod
    def read(folder: Path) -> CutoutRecord:
        """Reads a draft's record.

        Raises:
            UserError: the draft has no cut-out, or its record is damaged or from an incompatible version.
        """
        try:
            return load_record(
                folder / "draft.json", CutoutRecord, "a cut-out's record", "choose the video again"
            )
        except OSError as error:
            raise UserError("There is no cut-out yet; choose a video first.") from error


def source_of(folder: Path) -> Path:
    """The path of a draft's video."""
    return next((folder / "source").iterdir())


def cut_out(
    folder: Path,
    settings: ClipSettings,
    size: int,
    box: Box | None,
    max_seconds: float,
    max_pixels: float,
    max_frames: int,
) -> None:
    """Writes a draft's cut-out: `input/`, two sheets of pictures for the page, and draft.json.

    Raises:
        UserError: the video cannot be read, is too long or too large, or shows no subject.
    """
    path = source_of(folder)
    source = open_source(path, settings.fps)
    if source.length > max_seconds:
        raise UserError(
            f"{source.name} is {source.length:.0f} s long and this server takes at most {max_seconds:.0f} s; "
            "cut it shorter."
        )
    if len(source.times) > max_frames:
        raise UserError(
            f"{source.name} has {len(source.times):,} frames and this server takes at most {max_frames:,}; "
            "cut it shorter."
        )
    if source.width * source.height > max_pixels:
        raise UserError(
            f"{source.name} is {source.width}×{source.height} pixels large and this server takes at most "
            f"{max_pixels / 1e6:.0f} megapixels; make it smaller."
        )
    clip = load_clip(path, settings, size) if box is None else _load_boxed(source, settings, size, box)
    clip.save(folder / "input")
    with atomic(folder / "cutout.webp") as sheet:
        _sheet([Image.fromarray(frame) for frame in clip.frames], (TILE_SIDE, TILE_SIDE)).save(
            sheet, "WEBP", quality=82, alpha_quality=90, method=2
        )
    scale = min(1.0, WHOLE_SIDE / max(source.width, source.height))
    wanted = choose_frames(source, settings.start, settings.end, settings.num_frames)
    pictures = [Image.fromarray(picture) for _, picture in source.read(wanted, scale)]
    tile = max(1, round(source.width * scale)), max(1, round(source.height * scale))
    with atomic(folder / "whole.jpg") as sheet:
        _sheet(pictures, tile, (255, 255, 255, 255)).convert("RGB").save(sheet, "JPEG", quality=80)
    record = CutoutRecord(
        settings=settings,
        size=size,
        box=box,
        num_frames=clip.num_frames,
        fps=clip.fps,
        length=source.length,
        source_frames=len(source.times),
        width=source.width,
        height=source.height,
        crop=(clip.crop.x, clip.crop.y, clip.crop.side),
        matting=clip.matting,
        warnings=list(clip.warnings),
        canonical_reason=clip.canonical_reason,
        whole_tile=tile,
        whole_count=len(pictures),
    )
    write_text(folder / "draft.json", json.dumps(dataclasses.asdict(record)))


def _load_boxed(source: Source, settings: ClipSettings, size: int, box: Box) -> Clip:
    """Loads the clip inside a box, as if the video showed nothing else."""
    left, top = math.floor(box[0] * source.width), math.floor(box[1] * source.height)
    right, bottom = math.ceil(box[2] * source.width), math.ceil(box[3] * source.height)
    if right - left < 16 or bottom - top < 16:
        raise UserError("The box is too small to hold a subject; draw a larger one.")
    wanted = choose_frames(source, settings.start, settings.end, settings.num_frames)
    times = source.times[wanted]
    fps = (len(times) - 1) / float(times[-1] - times[0]) if len(times) > 1 else 10.0
    scale = min(1.0, _SHARPNESS * size / max(right - left, bottom - top))
    with tempfile.TemporaryDirectory(prefix="ar4d-box-") as folder:
        part = Path(folder) / source.name
        part.mkdir()
        for index, picture in source.read(wanted, scale):
            sx, sy = picture.shape[1] / source.width, picture.shape[0] / source.height
            inside = picture[round(top * sy) : round(bottom * sy), round(left * sx) : round(right * sx)]
            Image.fromarray(inside).save(part / f"{index:06d}.png", compress_level=1)
        whole = dataclasses.replace(settings, start=None, end=None, num_frames=len(times), fps=fps)
        clip = load_clip(part, whole, size)
    factor = (right - left) / clip.crop.source_width
    crop = dataclasses.replace(
        clip.crop,
        x=left + clip.crop.x * factor,
        y=top + clip.crop.y * factor,
        side=clip.crop.side * factor,
        source_width=source.width,
        source_height=source.height,
    )
    return dataclasses.replace(clip, crop=crop)


def _sheet(pictures: list[Image.Image], tile: tuple[int, int], background=(0, 0, 0, 0)) -> Image.Image:
    """One picture that holds all `pictures`, in rows of `columns(len(pictures))`."""
    across = columns(len(pictures))
    down = math.ceil(len(pictures) / across)
    sheet = Image.new("RGBA", (across * tile[0], down * tile[1]), background)
    for k, picture in enumerate(pictures):
        small = _resized(picture.convert("RGBA"), tile)
        sheet.paste(small, (k % across * tile[0], k // across * tile[1]))
    return sheet


def _resized(picture: Image.Image, tile: tuple[int, int]) -> Image.Image:
    """The picture at another size, averaged with premultiplied alpha so that hidden colours do not count."""
    if picture.size == tile:
        return picture
    premultiplied = picture.convert("RGBa").resize(tile, Image.Resampling.BOX, reducing_gap=None)
    return premultiplied.convert("RGBA")


def columns(count: int) -> int:
    """Number of columns of a sheet of `count` pictures."""
    return max(1, int(np.ceil(np.sqrt(count))))
