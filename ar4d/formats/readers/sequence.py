"""Files or a folder of files become one asset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ar4d.asset import FrameSequence
from ar4d.errors import UserError
from ar4d.formats.readers.files import SPLAT_ENDINGS, USD_ENDINGS, read_splat_file, read_usd_file
from ar4d.formats.splats.stored import SMALLEST_OPACITY, half_turn
from ar4d.formats.viewers import up_for
from ar4d.gaussians import Gaussians, concatenate

DEFAULT_FPS = 12.0
FIXED_AXES = (".glb", *USD_ENDINGS)
FITTED_RADIUS = 0.8  # of what is scaled to fit into [-1, 1]


@dataclass(frozen=True)
class Sequence:
    """What was read."""

    asset: FrameSequence
    remarks: tuple[str, ...]
    """What was changed or left out, in sentences."""


def read_sequence(
    inputs: list[Path], *, fps: float | None = None, viewer: str | None = None, up: str | None = None
) -> Sequence:
    """Reads a sequence in the order of the files' names.

    Args:
        inputs: splat files, folders of them, or one USD file.
        fps: frames per second; by default what the USD file says, else 12.
        viewer: a program that shows the files upright.
        up: which way is up in the files; y if not given.

    Raises:
        UserError: nothing to read, a file that cannot be read, or a rate that is not above 0.
    """
    files = _files(inputs)
    axis = up_for(viewer, up)
    if axis == "-y" and files[0].suffix.lower() in FIXED_AXES:
        raise UserError(
            f"{files[0].suffix} files have y up by definition; import them without --for and --up."
        )
    remarks: list[str] = []
    if files[0].suffix.lower() in USD_ENDINGS:
        if len(files) > 1:
            raise UserError(f"A USD file holds the whole clip; import {files[0]} alone.")
        frames, rate = read_usd_file(files[0])
    else:
        frames, rate = [], DEFAULT_FPS
        for path in files:
            gaussians, left_out = read_splat_file(path)
            frames.append(gaussians)
            remarks += left_out if len(frames) == 1 else []
    rate = rate if fps is None else fps
    if not 0 < rate < 1000:
        raise UserError(f"A clip has between 0 and 1000 frames per second, not {rate:g}; change --fps.")
    if axis == "-y":
        frames = [_turned(g) for g in frames]
    frames = _same_length(_fitted(frames, remarks), remarks)
    return Sequence(FrameSequence(tuple(frames), rate), tuple(remarks))


def _files(inputs: list[Path]) -> list[Path]:
    endings = SPLAT_ENDINGS + USD_ENDINGS
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if p.suffix.lower() in endings)
        elif path.suffix.lower() not in endings:
            raise UserError(f"{path} is no splat file; ar4d imports {', '.join(endings)}.")
        elif not path.is_file():
            raise UserError(f"There is no file {path}; check its name.")
        else:
            files.append(path)
    if not files:
        raise UserError(f"{inputs[0] if inputs else 'The input'} holds no splat file ({', '.join(endings)}).")
    kinds = {path.suffix.lower() for path in files}
    if len(kinds) > 1:
        raise UserError(f"The files mix {' and '.join(sorted(kinds))}; import files of one kind.")
    return files


def _turned(gaussians: Gaussians) -> Gaussians:
    means, quats = half_turn(gaussians.means, gaussians.quats)
    return replace(gaussians, means=means, quats=quats)


def _fitted(frames: list[Gaussians], remarks: list[str]) -> list[Gaussians]:
    """The same inside [-1, 1], where the cameras look; what lies there already stays as it is."""
    means = torch.cat([g.means for g in frames])
    if means.abs().max() <= 1:
        return frames
    center = (means.amin(0) + means.amax(0)) / 2
    factor = float(FITTED_RADIUS / (means - center).norm(dim=1).max())
    remarks.append(
        f"The object reached out of [-1, 1]: it was moved by {[round(-x, 3) for x in center.tolist()]} "
        f"and scaled by {factor:.4g}."
    )
    return [replace(g, means=(g.means - center) * factor, scales=g.scales * factor) for g in frames]


def _same_length(frames: list[Gaussians], remarks: list[str]) -> list[Gaussians]:
    """Frames with as many Gaussians each; shorter ones get invisible ones, and a remark says so."""
    longest = max(map(len, frames))
    if all(len(g) == longest for g in frames):
        return frames
    remarks.append(
        f"The frames hold {min(map(len, frames)):,} to {longest:,} Gaussians, so they are not the same ones "
        "throughout: each frame is shown as it is, and the moments between frames are a blend."
    )
    return [concatenate([g, _invisible(g, longest - len(g))]) for g in frames]


def _invisible(gaussians: Gaussians, count: int) -> Gaussians:
    copies = gaussians.select(torch.zeros(count, dtype=torch.long))
    return replace(copies, opacities=torch.full((count,), SMALLEST_OPACITY))
