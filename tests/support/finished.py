"""A run that is finished without having been worked on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ar4d.asset import Asset4D, FrameSequence, frame_time
from ar4d.clip import ClipSettings
from ar4d.runs import Recipe, Run
from tests.conftest import make_clip, quick


def finished_run(folder: Path, asset: Asset4D, elevation_deg: float = 0.0) -> Run:
    """A run in `folder` whose result is what `asset` holds at its frames."""
    count = asset.num_frames
    settings = replace(quick(), elevation_deg=elevation_deg)
    run = Run.create(folder, Recipe("ball.mp4", ClipSettings(num_frames=count), settings), make_clip(count))
    frames = [asset.at(frame_time(k, count)) for k in range(count)]
    FrameSequence(tuple(frames), asset.fps).save(folder / "refined.safetensors")
    run.finish()
    return run
