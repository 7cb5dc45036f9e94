"""Ablation of the symmetry plane with the embedded expert alone: no stages, no pseudo-views, no motion.

    python -m benchmarks.embedded_only --views DIR

`DIR` is laid out as for `benchmarks.bench4d`. True planes need `yaw_deg` and `framing` in `meta.json`; the
latter has `scale` and `centre`. The model, which is symmetric about x = 0, was turned by the yaw and placed
at scale · (x - centre).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor

from ar4d.asset import FrameSequence
from ar4d.bench.objects import clip_of, objects_of
from ar4d.clip.pictures import STILL_FPS
from ar4d.errors import UserError
from ar4d.evaluation import Scores, asset_renderer, evaluate_views, format_scores, mean
from ar4d.evaluation.ground_truth import read_ground_truth
from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.facing import KnownPlane, PlaneFinder
from ar4d.experts.embedded.symmetry import upright_plane
from ar4d.settings import FACING_DEG
from benchmarks.bench4d import facing_of

Planes = Literal["none", "found", "hinted", "likeliest", "true-offset", "true-azimuth", "true"]
COLUMNS = ("PSNR", "IoU", "LPIPS", "roughness", "fog")


@dataclass(frozen=True)
class Options:
    """Measure the embedded expert's result for every frame, at azimuths -75, 15, 105 and 195."""

    views: Path
    """Folder that holds a folder for each object."""
    objects: tuple[str, ...] = ()
    """Names of objects; all by default."""
    planes: tuple[Planes, ...] = ("none", "found", "true")
    """Source of the planes of symmetry; see benchmarks/README.md."""
    frames: int | None = None
    """Number of frames of each clip, from the first; all by default."""
    size: int = 256
    """Width and height at which clips are fitted."""
    gaussians: int = 8000
    """About how many Gaussians to make of every frame."""
    lpips: Path | None = None
    """LPIPS weights file; the environment variable AR4D_LPIPS by default."""


@dataclass(frozen=True)
class Likeliest:
    """A `PlaneFinder` of one plane: another finder's first, with its azimuth or offset replaced if given."""

    found: PlaneFinder
    azimuth_deg: float | None = None
    offset: float | None = None

    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return the plane [1, 4] with weight 1."""
        azimuth_deg, offset = azimuth_and_offset(self.found(picture)[0][0].tolist())
        if self.azimuth_deg is not None:
            azimuth_deg = self.azimuth_deg
        if self.offset is not None:
            offset = self.offset
        return torch.tensor([upright_plane(azimuth_deg, offset)]), torch.ones(1)

    def with_clip(
        self, pictures: Iterable[Tensor], facing_deg: float | None = None, stride: int = 1
    ) -> Likeliest:
        """See `PlaneFinder.with_clip`."""
        return replace(self, found=self.found.with_clip(pictures, facing_deg, stride))

    @property
    def facing_estimate(self) -> tuple[float, float] | None:
        """See `PlaneFinder.facing_estimate`."""
        return self.found.facing_estimate


def main(argv: Sequence[str]) -> None:
    """Print a table for each kind of planes."""
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
    """Scores at the test views, averaged over the frames of one object."""
    folder = options.views / name
    truth = read_ground_truth(folder, options.frames)
    frames = torch.from_numpy(clip_of(folder / "input", truth.num_frames, options.size).frames).float() / 255
    expert = Embedded.load(torch.device("cpu"))
    expert = replace(expert, plane_finder=plane_finder(planes, folder, expert.plane_finder))
    hint_deg = FACING_DEG[facing_of(folder)] if planes == "hinted" else None
    expert = expert.with_clip(frames, hint_deg)
    lifted = FrameSequence(tuple(expert.lift(frame, options.gaussians) for frame in frames), STILL_FPS)
    test = evaluate_views(asset_renderer(lifted), truth, {"lpips": options.lpips}).test
    if test is None:
        raise UserError(f"{folder} has none of the test views; add cameras at azimuths -75, 15, 105 and 195.")
    return test


def plane_finder(planes: Planes, folder: Path, found: PlaneFinder) -> PlaneFinder:
    """The finder of one object's planes; `found` is the expert's own."""
    if planes in ("found", "hinted"):
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
        UserError: meta.json lacks them.
    """
    path = folder / "meta.json"
    try:
        meta = json.loads(path.read_text())
        yaw_deg, framing = float(meta["yaw_deg"]), meta["framing"]
        x, _, z = (-float(framing["scale"]) * float(c) for c in framing["centre"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} does not define the plane of symmetry ({error!r}): it needs yaw_deg and framing; "
            "measure with --planes none found."
        ) from error
    a = math.radians(yaw_deg)
    return yaw_deg, x * math.cos(a) - z * math.sin(a)


def azimuth_and_offset(plane: Sequence[float]) -> tuple[float, float]:
    """Azimuth in [-90, 90] degrees and offset in world units of a plane as `upright_plane` gives it."""
    c, s, x, z = plane
    a = math.atan2(s, c) / 2
    return math.degrees(a), x * math.cos(a) - z * math.sin(a)


def row(name: str, scores: Scores) -> str:
    """A row of the table."""
    formatted = format_scores(scores)
    return f"| {name} | {' | '.join(formatted[title] for title in COLUMNS)} |"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"embedded_only: {error}")
