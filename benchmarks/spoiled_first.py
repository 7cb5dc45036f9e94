"""Writes clips whose first frame is bad, to measure what `--canonical auto` wins on them.

    python -m benchmarks.spoiled_first --views DIR --out SPOILED
    python -m benchmarks.bench4d --views SPOILED --variants full --out runs/first
    python -m benchmarks.bench4d --views SPOILED --variants full --canonical auto --out runs/auto

Each folder is an object of `benchmarks.bench4d` whose ground truth stays as it was; of its clip, the first
frame alone is mostly hidden by an occluder, or has the subject mostly outside the picture, to the right or
below.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from ar4d.bench.objects import objects_of
from ar4d.images import to_float, to_uint8

HIDDEN = 0.85  # of the subject's height behind the occluder
OUTSIDE = 0.85  # of the subject's width or height beyond the picture's border


def occluded(rgba: np.ndarray) -> np.ndarray:
    """The picture [S, S, 4] in [0, 1], straight alpha, without the lower part of its subject."""
    rows = np.flatnonzero(rgba[..., 3].any(1))
    hidden = rgba.copy()
    hidden[round(rows[-1] - HIDDEN * np.ptp(rows)) :] = 0
    return hidden


def entering(rgba: np.ndarray) -> np.ndarray:
    """The picture with its subject still on the way in from the right."""
    columns = np.flatnonzero(rgba[..., 3].any(0))
    shift = round(rgba.shape[1] - columns[-1] + OUTSIDE * np.ptp(columns))
    moved = np.zeros_like(rgba)
    moved[:, shift:] = rgba[:, :-shift]
    return moved


def rising(rgba: np.ndarray) -> np.ndarray:
    """The picture with its subject still on the way in from below."""
    return entering(rgba.swapaxes(0, 1)).swapaxes(0, 1)


SPOILED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "occluded": occluded,
    "entering": entering,
    "rising": rising,
}


@dataclass(frozen=True)
class Options:
    """Spoil the first frame of clips with ground truth."""

    views: Path
    """Folder that holds a folder for each object, as benchmarks.bench4d reads it."""
    out: Path
    """Folder for the spoiled ones."""
    objects: tuple[str, ...] = ("elephant", "chicken", "lion")
    """One object for each kind of damage."""


def main(argv: Sequence[str]) -> None:
    """Write one folder for each kind of damage, named OBJECT-KIND."""
    options = tyro.cli(Options, prog="python -m benchmarks.spoiled_first", args=argv)
    for name, (kind, spoil) in zip(objects_of(options.views, options.objects), SPOILED.items(), strict=True):
        folder = options.out / f"{name}-{kind}"
        shutil.copytree(options.views / name, folder, copy_function=shutil.copyfile)
        (folder / "input").chmod(0o755)
        first = sorted((folder / "input").glob("*.png"))[0]
        with Image.open(first) as picture:
            rgba = to_float(np.asarray(picture.convert("RGBA")))
        Image.fromarray(to_uint8(spoil(rgba))).save(first)
        print(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
