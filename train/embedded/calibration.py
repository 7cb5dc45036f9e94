"""Whether the facing network is right as often as it says: on clips of made-up objects that no run trains on.

python -m train.embedded.calibration [--frames 8] [--turning 0 2]
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import tyro
from torch import Tensor

from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.facing import FacingNetwork, PlaneFinder, facing_and_chance, steadied_by_others
from ar4d.experts.embedded.network import encode_picture
from ar4d.experts.embedded.symmetry import upright_planes
from train.data.dataset import FRAMED, about_y, dyed, lit
from train.data.example_source import KEPT_OBJECTS
from train.data.framing import framed
from train.data.point_clouds import Clouds, gather
from train.data.procedural.clouds import made_up_clouds
from train.data.rng import Dice
from train.data.splatting import photographed_closely
from train.data.view_batch import Pictures, planes_of_views
from train.data.warp import Warp

FILLED = 0.7  # share of the picture that an object takes
BATCH = 8
IN_A_WORD_DEG = 22.5
CLASSES = (0.0, 0.4, 0.6, 0.8, 0.9, 1.01)  # of chances


@dataclass(frozen=True)
class Options:
    """Compare the chances that the facing network names with how often it is right."""

    objects: int = 120
    """Made-up objects; each is seen from four sides."""
    frames: int = 8
    """Of each clip: one cycle of what the object does."""
    turning: tuple[float, ...] = (0.0, 2.0)
    """Degrees by which objects turn from frame to frame, either way."""
    points: int = 14000
    """Of an object's cloud."""
    seed: int = 3


def main(argv: Sequence[str]) -> None:
    """Prints a line for each class of chances."""
    options = tyro.cli(Options, prog="python -m train.embedded.calibration", args=argv)
    pairs = math.ceil(options.frames / 2)
    made_up = made_up_clouds(options.objects, pairs, options.points, KEPT_OBJECTS)
    clouds = gather([cloud for cloud in made_up if cloud.symmetric], torch.device("cpu"))
    finder = Embedded.load(torch.device("cpu")).planes_of
    assert isinstance(finder, PlaneFinder)
    random = torch.Generator().manual_seed(options.seed)
    told, right = [], []
    for turning_deg in options.turning:
        for clip in filmed(clouds, options.frames, turning_deg, random):
            for chance, away_deg in answers(finder.network, clip):
                told.append(chance)
                right.append(away_deg <= IN_A_WORD_DEG)
    print(table(torch.tensor(told), torch.tensor(right)))


@torch.no_grad()
def filmed(
    clouds: Clouds, frames: int, turning_deg: float, random: torch.Generator
) -> Iterator[list[Pictures]]:
    """Every object once, a batch at a time: its frames' close-ups from four sides."""
    for first in range(0, len(clouds), BATCH):
        objects = torch.arange(first, min(first + BATCH, len(clouds)))
        dice = Dice(len(objects), objects.device, random)
        start, side = 2 * math.pi * dice.uniform(), torch.where(dice.chance(0.5), 1.0, -1.0)
        light = lit(dice)
        albedo = dyed(clouds.colors[objects], light)
        rest, _ = clouds.posed(objects, torch.zeros_like(objects))
        warp = Warp.random(rest, torch.ones(len(objects)), dice)
        scale, centre = framed((warp(rest) @ about_y(start).mT)[:, ::FRAMED], torch.full_like(start, FILLED))
        clip = []
        for frame in range(frames):
            yaw = start + side * math.radians(turning_deg) * frame
            points, normals = clouds.posed(objects, torch.full_like(objects, frame))
            turn = about_y(yaw).mT
            places = scale[:, None, None] * (warp(points) @ turn - centre[:, None])
            offset = -scale * (centre[:, 0] * yaw.cos() - centre[:, 2] * yaw.sin())
            near = photographed_closely(places, normals @ turn, albedo, light)
            clip.append(Pictures.of(near, planes_of_views(upright_planes(yaw, offset))))
        yield clip


@torch.no_grad()
def answers(network: FacingNetwork, clip: Sequence[Pictures]) -> Iterator[tuple[float, float]]:
    """Of every object and side: the chance named for the first frame, and how many degrees it is off."""
    logits = torch.stack([network(encode_picture(frame.pictures))[0] for frame in clip], 1)
    c, s = clip[0].planes[:, :2].unbind(1)
    true_deg = torch.rad2deg(torch.atan2(s, c)) / 2
    for shown, true in zip(logits, true_deg.tolist(), strict=True):
        azimuth_deg, chance = facing_and_chance(steadied_by_others(shown)[0], len(clip))
        yield chance, abs((azimuth_deg - true + 90) % 180 - 90)


def table(told: Tensor, right: Tensor) -> str:
    """Means by class of the chances told [N], where `right` [N] is what came true."""
    lines = [f"{len(told)} answers: {told.mean():.2f} sure, {right.float().mean():.2f} right"]
    for low, high in itertools.pairwise(CLASSES):
        among = (told >= low) & (told < high)
        if among.any():
            means = f"{told[among].mean():.2f} sure, {right[among].float().mean():.2f} right"
            lines.append(f"  {int(among.sum()):4d}: {means}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
