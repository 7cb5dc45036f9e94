"""Cut-outs that visitors look at and correct. Made in a worker, because it opens untrusted files."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import ConfigDict, with_config

from app.runs import other_views
from ar4d.clip import Clip, ClipSettings, Corrections
from ar4d.clip.loading import Prepared, finish, prepare
from ar4d.clip.motion import measure_motion
from ar4d.clip.progress import OnFrame, ignore
from ar4d.clip.sources import Source, choose_frames, open_source
from ar4d.errors import UserError
from ar4d.files import atomic, write_text
from ar4d.records import load_record

WHOLE_SIDE = 640  # pixels of a whole picture's longer side on the page: corrections are drawn on it
TILE_SIDE = 256  # pixels of a cut-out frame on the page
STRIP_SIDE = 64  # pixels of a film strip's pictures
STRIP_COUNT = 16  # pictures of the film strip
PROGRESS_SIDE = 96  # pixels of a picture that is shown while the work goes on

_REMEMBERED = 2  # drafts whose found subject is kept in memory, so that a correction need not find it again


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class CutoutRecord:
    """Contents of draft.json: what the page needs to know about a cut-out."""

    settings: ClipSettings
    size: int
    """Width and height of the cut-out in pixels."""
    num_frames: int
    """Frames of the clip."""
    numbers: list[int]
    """Number of each of them among the chosen frames, from 1."""
    num_chosen: int
    """Chosen frames of the source, those that are not used included."""
    fastest: float
    """Largest motion of the subject from one frame to the next, in shares of its size."""
    frames_needed: int
    """Frames that the motion would need."""
    facing: tuple[float, float] | None
    """Guess of the azimuth that the subject faces in the first frame, degrees, right up to 180, and the
    probability that it is; None where no guess can be made."""
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
    """Width and height of one picture in whole.jpg, which holds the chosen frames."""
    strip_tile: tuple[int, int]
    """Width and height of one picture in strip.jpg."""
    strip_count: int
    """Pictures in strip.jpg, evenly spaced over the whole source."""
    sides: list[float] = field(default_factory=list)
    """Azimuths in degrees of the views from other sides, if the visitor gave any."""
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
    max_seconds: float,
    max_pixels: float,
    max_frames: int,
    on_frame: OnFrame = ignore,
) -> None:
    """Writes a draft's cut-out: `input/`, sheets of pictures for the page, and draft.json.

    The corrections in `settings` count the frames as the present cut-out does; where the frames are
    chosen otherwise now, they move to the same pictures.

    Args:
        on_frame: is called as the frames are worked on.

    Raises:
        UserError: the video cannot be read, is too long or too large, or shows no subject.
    """
    path = source_of(folder)
    source = _source(path, settings.fps, max_seconds, max_pixels, max_frames)
    settings, notes = _renumbered(folder, source, settings)
    prepared = _prepared(path, settings, on_frame)
    loaded = finish(prepared, settings, size, on_frame)
    clip = loaded.clip
    for side in other_views.sources(folder):  # the limits hold for them as well
        _source(side, settings.fps, max_seconds, max_pixels, max_frames)
    sides = other_views.cut_out(folder, clip, settings)
    clip.save(folder / "input")
    _write_sheet(folder / "cutout.webp", list(clip.frames), (TILE_SIDE, TILE_SIDE))
    tile = _write_pictures(folder / "whole.jpg", source, prepared.wanted, WHOLE_SIDE)
    shown = np.unique(np.linspace(0, len(source.times) - 1, STRIP_COUNT).round().astype(int)).tolist()
    strip_tile = _write_pictures(folder / "strip.jpg", source, shown, STRIP_SIDE)
    motion = measure_motion(clip.frames, loaded.numbers)
    record = CutoutRecord(
        settings=settings,
        size=size,
        num_frames=clip.num_frames,
        numbers=list(loaded.numbers),
        num_chosen=loaded.num_chosen,
        fastest=motion.fastest,
        frames_needed=motion.frames_needed(clip.num_frames),
        facing=_guess_facing(clip),
        fps=clip.fps,
        length=source.length,
        source_frames=len(source.times),
        width=source.width,
        height=source.height,
        crop=(clip.crop.x, clip.crop.y, clip.crop.side),
        matting=clip.matting,
        warnings=[*notes, *clip.warnings],
        whole_tile=tile,
        strip_tile=strip_tile,
        strip_count=len(shown),
        sides=sides,
        canonical_reason=clip.canonical_reason,
    )
    write_text(folder / "draft.json", json.dumps(dataclasses.asdict(record)))


def _source(path: Path, fps: float | None, max_seconds: float, max_pixels: float, max_frames: int) -> Source:
    source = open_source(path, fps)
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
    return source


def _guess_facing(clip: Clip) -> tuple[float, float] | None:
    from ar4d.experts.embedded.expert import guess_facing

    return guess_facing(clip.frames)


def _prepared(path: Path, settings: ClipSettings, on_frame: OnFrame) -> Prepared:
    """The subject before any correction; from memory where the last cut-outs have found it already."""
    alike = dataclasses.replace(settings, framing="keep", canonical=0, corrections=Corrections())
    key = path, path.stat().st_mtime_ns, alike
    prepared = _found.pop(key, None) or prepare(path, settings, on_frame)
    _found[key] = prepared
    while len(_found) > _REMEMBERED:
        _found.pop(next(iter(_found)))
    return prepared


_found: dict[Any, Prepared] = {}


def _renumbered(folder: Path, source: Source, settings: ClipSettings) -> tuple[ClipSettings, list[str]]:
    """The settings with their corrections at the same pictures as before, and what to say of lost ones."""
    try:
        before = CutoutRecord.read(folder).settings
    except UserError:
        return settings, []
    if not settings.corrections or settings.corrections != before.corrections:
        return settings, []
    old = choose_frames(source, before.start, before.end, before.num_frames)
    new = choose_frames(source, settings.start, settings.end, settings.num_frames)
    numbers = {index: number for number, index in enumerate(new, 1)}
    same = {number: numbers[index] for number, index in enumerate(old, 1) if index in numbers}
    corrections = settings.corrections.renumbered(same)
    lost = settings.corrections.count - corrections.count
    notes = []
    if lost:
        what = "A correction was" if lost == 1 else f"{lost} corrections were"
        notes = [f"{what} removed, because other frames are chosen now: look at the cut-out again."]
    return dataclasses.replace(settings, corrections=corrections), notes


def _write_pictures(path: Path, source: Source, indices: list[int], side: int) -> tuple[int, int]:
    """Writes a sheet of whole pictures; returns the size of one."""
    scale = min(1.0, side / max(source.width, source.height))
    tile = max(1, round(source.width * scale)), max(1, round(source.height * scale))
    read = dict(source.read(indices, scale))
    blank = np.full((tile[1], tile[0], 4), 128, np.uint8)
    pictures = [Image.fromarray(read.get(index, blank)) for index in indices]
    with atomic(path) as sheet:
        whole = _sheet(pictures, tile, (255, 255, 255, 255)).convert("RGB")
        whole.save(sheet, "JPEG", quality=80)
    return tile


def _write_sheet(path: Path, frames: list[np.ndarray], tile: tuple[int, int]) -> None:
    with atomic(path) as sheet:
        pictures = [Image.fromarray(frame) for frame in frames]
        _sheet(pictures, tile).save(sheet, "WEBP", quality=82, alpha_quality=90, method=2)


def write_progress(folder: Path, number: int, picture: np.ndarray) -> None:
    """Writes a small picture of a frame that is finished while others are worked on."""
    image = Image.fromarray(picture)
    image.thumbnail((PROGRESS_SIDE, PROGRESS_SIDE))
    (folder / "progress").mkdir(exist_ok=True)
    with atomic(folder / "progress" / f"{number:04d}.webp") as file:
        image.save(file, "WEBP", quality=70, method=0)


def forget_progress(folder: Path) -> None:
    """Deletes what `write_progress` has written."""
    shutil.rmtree(folder / "progress", ignore_errors=True)


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
