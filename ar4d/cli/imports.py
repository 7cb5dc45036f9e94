"""`import`: a splat sequence made elsewhere becomes a run that can be viewed, rendered and exported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from ar4d.asset import FrameSequence
    from ar4d.runs import Run


@dataclass(frozen=True)
class _ImportArguments:
    """Make a run of splat files: PLY, compressed PLY, SPZ, SOG, GLB (one per frame), or one USD file."""

    files: tyro.conf.Positional[list[Path]]
    """Splat files in the order of the clip, or a folder of them, or one USD file."""
    out: Path
    """Folder of the new run."""
    fps: float | None = None
    """Frames per second; by default what the file says, else 12."""
    viewer: Annotated[str | None, tyro.conf.arg(name="for")] = None
    """A program that shows the files upright: supersplat, three, spark, viser or adobe-spz."""
    up: str | None = None
    """Which way is up in the files, y or -y; y if not given."""


def main(argv: list[str]) -> None:
    """make a run of splat files from elsewhere: PLY, SPZ, SOG, GLB or USD"""
    from ar4d.formats.readers import read_sequence

    arguments = tyro.cli(_ImportArguments, prog="ar4d import", args=argv)
    sequence = read_sequence(arguments.files, fps=arguments.fps, viewer=arguments.viewer, up=arguments.up)
    make_run(arguments.out, sequence.asset, str(arguments.files[0]), sequence.remarks)
    for remark in sequence.remarks:
        print(remark)
    print(arguments.out)


def make_run(folder: Path, asset: FrameSequence, source: str, remarks: tuple[str, ...]) -> Run:
    """A finished run whose asset is `asset`; its clip is what the reference camera sees of it.

    Raises:
        UserError: the folder holds a run already, or cannot be written to.
    """
    import numpy as np

    from ar4d.asset import frame_time
    from ar4d.clip import Clip, ClipSettings, Crop
    from ar4d.files import atomic
    from ar4d.formats import render_frames
    from ar4d.presets import CPU
    from ar4d.runs import Recipe, Run

    count = asset.num_frames
    times = [frame_time(k, count) for k in range(count)]
    settings = replace(CPU, elevation_deg=0.0)
    frames = render_frames(asset, times, [0.0] * count, size=settings.size, background="transparent")
    pictures = np.stack(list(frames))
    pictures[pictures[..., 3] == 0] = 0
    crop = Crop(0.0, 0.0, float(settings.size), settings.size, settings.size)
    clip = Clip(pictures, asset.fps, crop, source=source, matting="alpha", warnings=remarks)
    clip_settings = ClipSettings(num_frames=count, framing="keep", background="alpha", fps=asset.fps)
    run = Run.create(folder, Recipe(source, clip_settings, settings), clip)
    for index, gaussians in enumerate(asset.frames):
        with atomic(run.frame_path(index)) as path:
            gaussians.save(path)
    with atomic(folder / "refined.safetensors") as path:
        asset.save(path)
    run.finish(remarks)
    return run
