"""What the embedded expert alone knows of every frame, without the stages: what is a plane of symmetry worth?

    python -m benchmarks.embedded_only --views DIR

`DIR` is laid out as for `benchmarks.bench4d`. For true planes, `meta.json` has to tell `yaw_deg` and
`framing` (`scale` and `centre`: the model, symmetric about x = 0, was turned and placed at
scale (x - centre)).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor

from ar4d.asset import FrameSequence
from ar4d.clip.pictures import STILL_FPS
from ar4d.errors import UserError
from ar4d.evaluation import Scores, cells, find_lpips, mean, score, shown
from ar4d.evaluation.ground_truth import read_ground_truth
from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.facing import Finder, KnownPlane
from ar4d.experts.embedded.symmetry import upright_plane
from ar4d.settings import FACING_DEG
from benchmarks.bench4d import clip_of, facing_of, objects_of

Planes = Literal["none", "found", "told", "likeliest", "true-offset", "true-azimuth", "true"]
COLUMNS = ("PSNR", "IoU", "LPIPS", "roughness", "fog")


@dataclass(frozen=True)
class Options:
    """Measure what the embedded expert alone makes of every frame, at azimuths -75, 15, 105 and 195."""

    views: Path
    """Folder that holds a folder for each object."""
    objects: tuple[str, ...] = ()
    """Names of objects; all by default."""
    planes: tuple[Planes, ...] = ("none", "found", "true")
    """Which planes of symmetry the network is told; see benchmarks/README.md."""
    frames: int | None = None
    """First so many frames of each clip; all by default."""
    size: int = 256
    """Width and height at which clips are fitted."""
    gaussians: int = 8000
    """About so many for every frame."""
    lpips: Path | None = None
    """LPIPS weights file; the environment variable AR4D_LPIPS by default."""


@dataclass(frozen=True)
class Likeliest:
    """`Finder` of one plane: the likeliest that another one finds, corrected by what is known of it."""

    found: Finder
    azimuth_deg: float | None = None
    offset: float | None = None

    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        azimuth_deg, offset = azimuth_and_offset(self.found(picture)[0][0].tolist())
        if self.azimuth_deg is not None:
            azimuth_deg = self.azimuth_deg
        if self.offset is not None:
            offset = self.offset
        return torch.tensor([upright_plane(azimuth_deg, offset)]), torch.ones(1)

    def with_clip(self, pictures: Tensor, facing_deg: float | None = None) -> Likeliest:
        return replace(self, found=self.found.with_clip(pictures, facing_deg))

    @property
    def facing(self) -> tuple[float, float] | None:
        return self.found.facing


def main(argv: Sequence[str]) -> None:
    """Prints a table for each kind of planes."""
    options = tyro.cli(Options, prog="python -m benchmarks.embedded_only", args=argv)
    for planes in options.planes:
        print(f"\nplanes: {planes}\n\n| object | {' | '.join(COLUMNS)} |")
        print("| --- |" + " ---: |" * len(COLUMNS))
        scores = []
        for name in objects_of(options.views, options.objects):
            scores.append(measure(options, name, planes))
            print(row(name, scores[-1]), flush=True)
        total = mean(scores)
        assert total is not None
        print(row("**mean**", total), flush=True)


def measure(options: Options, name: str, planes: Planes) -> Scores:
    """What the expert makes of every frame of one object, at the test views."""
    folder = options.views / name
    truth = read_ground_truth(folder, options.frames)
    frames = torch.from_numpy(clip_of(folder / "input", truth.num_frames, options.size).frames).float() / 255
    expert = Embedded.load(torch.device("cpu"))
    expert = replace(expert, planes_of=finder(planes, folder, expert.planes_of))
    told = FACING_DEG[facing_of(folder)] if planes == "told" else None
    expert = expert.with_clip(frames, told)
    lifted = FrameSequence(tuple(expert.lift(frame, options.gaussians) for frame in frames), STILL_FPS)
    test = score(shown(lifted), truth, find_lpips(options.lpips)).test
    if test is None:
        raise UserError(f"{folder} has none of the test views; add cameras at azimuths -75, 15, 105 and 195.")
    return test


def finder(planes: Planes, folder: Path, found: Finder) -> Finder:
    """What tells the planes of one object."""
    if planes in ("found", "told"):
        return found
    if planes == "none":
        return KnownPlane(torch.zeros(4))
    if planes == "likeliest":
        return Likeliest(found)
    azimuth_deg, offset = true_plane(folder)
    if planes == "true-azimuth":
        return Likeliest(found, azimuth_deg=azimuth_deg)
    if planes == "true-offset":
        return Likeliest(found, offset=offset)
    return KnownPlane(torch.tensor(upright_plane(azimuth_deg, offset)))


def true_plane(folder: Path) -> tuple[float, float]:
    """Azimuth in degrees and offset in world units of an object's plane, from its meta.json.

    Raises:
        UserError: it does not tell.
    """
    path = folder / "meta.json"
    try:
        meta = json.loads(path.read_text())
        yaw_deg, framing = float(meta["yaw_deg"]), meta["framing"]
        x, _, z = (-float(framing["scale"]) * float(c) for c in framing["centre"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} does not tell the plane of symmetry ({error!r}): it needs yaw_deg and framing; "
            "measure with --planes none found."
        ) from error
    a = math.radians(yaw_deg)
    return yaw_deg, x * math.cos(a) - z * math.sin(a)


def azimuth_and_offset(plane: Sequence[float]) -> tuple[float, float]:
    """Of a plane as `upright_plane` tells it; the azimuth in degrees, from -90 to 90."""
    c, s, x, z = plane
    a = math.atan2(s, c) / 2
    return math.degrees(a), x * math.cos(a) - z * math.sin(a)


def row(name: str, scores: Scores) -> str:
    named = cells(scores)
    return f"| {name} | {' | '.join(named[title] for title in COLUMNS)} |"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"bare: {error}")
