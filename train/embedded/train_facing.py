"""Trains the network that finds the plane of symmetry in a picture.

    python -m train.embedded.train_facing --data DIR --out RUN --minutes 60

It needs nothing but pictures and their planes. Stopped, it goes on from RUN/last.pt.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

from ar4d.experts.embedded.closeup import FILLED, close_ups
from ar4d.experts.embedded.expert import part_of
from ar4d.experts.embedded.facing import (
    AZIMUTHS_DEG,
    OFFSET_UNIT,
    FacingNetwork,
    angle_between_deg,
    likely_planes,
)
from ar4d.experts.embedded.geometry import VIEWS
from ar4d.experts.embedded.network import encode_picture
from ar4d.experts.embedded.symmetry import upright_plane
from train.data.device_constants import constant
from train.data.example_source import KEPT, generator, in_parts, repeated, sources
from train.data.examples import Paint, blurred, turned
from train.data.rng import Dice
from train.data.view_batch import Pictures
from train.loop import Losses, Options, Trainer, in_processes

SPREAD_DEG = 4.0  # of the azimuths that an example counts for
RIGHT_DEG = 15.0
STRETCH = 0.25  # standard deviation of the logarithm
LESS_FILLED = 0.05  # or more
BLEMISHED = 0.3  # share of pictures, of either kind
HOLE = 20  # pixels
CHUNK = 64  # pictures at a time


@dataclass(frozen=True)
class FacingOptions(Options):
    """Train the network that finds the plane of symmetry."""

    batch: int = 16
    lr: float = 1.2e-3
    weight_decay: float = 0.05


@torch.no_grad()
def altered(batch: Pictures, random: torch.Generator) -> Pictures:
    """The pictures mirrored, recoloured, stretched and with the blemishes that real cut-outs have."""
    dice = Dice(len(batch.planes), batch.planes.device, random)
    mirror = dice.chance(0.5)
    pictures = Paint.random(dice)(batch.pictures[:, None])[:, 0]
    pictures = torch.where(mirror[:, None, None, None], pictures.flip(-1), pictures)
    planes = turned(batch.planes, torch.zeros_like(mirror, dtype=torch.long), mirror)
    filled = FILLED + LESS_FILLED * (2 * dice.uniform() - 1)
    return Pictures.of(close_ups(_blemished(_stretched(pictures, dice), dice), filled), planes)


def _stretched(pictures: Tensor, dice: Dice) -> Tensor:
    """Taller or flatter: planes stay where they are, and a body's proportions do not tell its azimuth."""
    size = pictures.shape[-1]
    away = (torch.arange(size, device=pictures.device) + 0.5 - size / 2).abs()
    reach = ((pictures[:, 3] > 0.5).any(2) * away).amax(1).clamp_min(1.0)
    factor = torch.minimum((STRETCH * dice.normal()).exp(), 0.98 * size / 2 / reach)
    place = torch.zeros(dice.count, 2, 3, device=pictures.device)
    place[:, 0, 0], place[:, 1, 1] = 1, 1 / factor
    grid = F.affine_grid(place, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


def _blemished(pictures: Tensor, dice: Dice) -> Tensor:
    """Blurred, or with a part missing."""
    size = pictures.shape[-1]
    blurry = dice.chance(BLEMISHED)[:, None, None, None]
    pictures = torch.where(blurry, blurred(pictures, size // 3, dice), pictures)
    line = torch.arange(size, device=pictures.device)
    rows, columns = (
        (line >= start) & (line < start + HOLE) for start in (dice.numbers(size - HOLE, 1) for _ in range(2))
    )
    hole = rows[:, :, None] & columns[:, None, :] & dice.chance(BLEMISHED)[:, None, None]
    return pictures * ~hole[:, None]


def losses(network: FacingNetwork, batch: Pictures) -> Losses:
    """Cross-entropy against azimuths near the true one, and the error of the offsets told there."""
    planes = batch.planes
    with torch.autocast(planes.device.type, torch.bfloat16):
        logits, offsets = network(encode_picture(batch.pictures))
    every = constant(tuple(upright_plane(azimuth, 1.0) for azimuth in AZIMUTHS_DEG), planes.device)
    away = angle_between_deg(planes[:, None], every)
    wanted = F.normalize(torch.exp(-0.5 * (away / SPREAD_DEG).square()), p=1, dim=1)
    offset = planes[:, 2:] @ every[:, 2:].T / OFFSET_UNIT  # of the foot, along each normal
    wrong = ((offsets - offset).abs() * wanted).sum(1).mean()
    return {"azimuth": F.cross_entropy(logits, wanted), "offset": 3 * wrong}


@torch.no_grad()
def validate(network: FacingNetwork, kept: Pictures) -> dict[str, float]:
    """On pictures of meshes that were kept: how far the answers are off, and how sure."""
    angles, feet, chances = [], [], []
    told = [network(encode_picture(part)) for part in kept.pictures.split(CHUNK)]
    logits, offsets = (torch.cat(parts).cpu() for parts in zip(*told, strict=True))
    for k, true in enumerate(kept.planes.cpu()):
        planes, chance = likely_planes(logits[k], offsets[k])
        angles.append(float(angle_between_deg(planes[0], true)))
        feet.append(float((planes[0] - true)[2:].norm()))
        chances.append(float(chance[0]))
    return {
        "right": float(np.mean([angle < RIGHT_DEG for angle in angles])),
        "median_deg": float(np.median(angles)),
        "foot": float(np.median(feet)),
        "chance": float(np.mean(chances)),
    }


def main(argv: Sequence[str]) -> None:
    """Trains until the time is over."""
    in_processes(train, tyro.cli(FacingOptions, prog="python -m train.embedded.train_facing", args=argv))


def train(rank: int, options: FacingOptions) -> None:
    """What each process does."""
    seed = options.seed + 7919 * rank
    source, others = sources(options, seed)
    trainer = Trainer(options, rank, FacingNetwork, begin_with)
    random = generator(trainer.device, seed + trainer.seen)
    kept = others.close_ups(min(KEPT, 16 * options.batch))

    take = repeated(source.close_ups, options.reuse)
    objects = max(1, options.together * options.batch // VIEWS)
    trainer.fit(
        in_parts(lambda: altered(take(objects), random).split(options.batch)),
        losses,
        lambda network: validate(network, kept),
    )


def begin_with(network: FacingNetwork, weights: dict[str, Tensor]) -> None:
    """Takes over the weights of an earlier run."""
    network.load_state_dict(part_of(weights, "facing."))


if __name__ == "__main__":
    main(sys.argv[1:])
