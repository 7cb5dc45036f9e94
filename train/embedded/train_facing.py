"""Trains the network that finds the plane of symmetry in a picture.

    python -m train.embedded.train_facing --data DIR --out RUN --minutes 60

It learns from pictures and their planes alone. A stopped run resumes from RUN/last.pt.
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

from ar4d.experts.embedded.crops import FILL, crop_to_object
from ar4d.experts.embedded.expert import with_prefix
from ar4d.experts.embedded.facing import (
    AZIMUTHS_DEG,
    OFFSET_UNIT,
    FacingNetwork,
    angle_between_deg,
    top_planes,
)
from ar4d.experts.embedded.geometry import VIEWS
from ar4d.experts.embedded.network import encode_picture
from ar4d.experts.embedded.symmetry import upright_plane
from train.data.batch_rng import BatchRng
from train.data.crop_batch import CropBatch
from train.data.device_constants import constant
from train.data.example_source import HOLDOUT_SIZE, amortized, example_sources, generator, repeated
from train.data.examples import ColorJitter, blur, reorder_planes
from train.loop import Losses, Options, Trainer, launch

TARGET_STD_DEG = 4.0
"""Standard deviation of the target distribution over azimuths."""
CORRECT_DEG = 15.0
"""Largest error of an answer that validation counts as correct."""
STRETCH_STD = 0.25
"""Standard deviation of the logarithm of the vertical stretch."""
FILL_JITTER = 0.05
"""Largest deviation of the crops' fill."""
CORRUPTION_PROB = 0.3
"""Probability of a blur, and of a missing part."""
HOLE_SIZE = 20
"""Width and height in pixels of a missing part."""
CHUNK = 64
"""Pictures that validation predicts at a time."""


@dataclass(frozen=True)
class FacingOptions(Options):
    """Train the network that finds the plane of symmetry."""

    batch: int = 16
    lr: float = 1.2e-3
    weight_decay: float = 0.05


@torch.no_grad()
def augment(batch: CropBatch, random: torch.Generator) -> CropBatch:
    """Mirror, recolour and stretch pictures, and add the flaws of real cut-outs."""
    rng = BatchRng(len(batch.planes), batch.planes.device, random)
    mirror = rng.bernoulli(0.5)
    pictures = ColorJitter.random(rng)(batch.pictures[:, None])[:, 0]
    pictures = torch.where(mirror[:, None, None, None], pictures.flip(-1), pictures)
    planes = reorder_planes(batch.planes, torch.zeros_like(mirror, dtype=torch.long), mirror)
    fill = FILL + FILL_JITTER * (2 * rng.uniform() - 1)
    corrupted = _corrupt(_stretch(pictures, rng), rng)
    return CropBatch.from_crops(crop_to_object(corrupted, fill), planes)


def _stretch(pictures: Tensor, rng: BatchRng) -> Tensor:
    """Stretch pictures vertically: planes stay the same, but proportions no longer reveal the azimuth."""
    size = pictures.shape[-1]
    distance = (torch.arange(size, device=pictures.device) + 0.5 - size / 2).abs()
    reach = ((pictures[:, 3] > 0.5).any(2) * distance).amax(1).clamp_min(1.0)
    factor = torch.minimum((STRETCH_STD * rng.normal()).exp(), 0.98 * size / 2 / reach)
    theta = torch.zeros(rng.count, 2, 3, device=pictures.device)
    theta[:, 0, 0], theta[:, 1, 1] = 1, 1 / factor
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


def _corrupt(pictures: Tensor, rng: BatchRng) -> Tensor:
    """Blur some pictures, and cut a part out of some."""
    size = pictures.shape[-1]
    blurry = rng.bernoulli(CORRUPTION_PROB)[:, None, None, None]
    pictures = torch.where(blurry, blur(pictures, size // 3, rng), pictures)
    line = torch.arange(size, device=pictures.device)
    rows, columns = (
        (line >= start) & (line < start + HOLE_SIZE)
        for start in (rng.integers(size - HOLE_SIZE, 1) for _ in range(2))
    )
    hole = rows[:, :, None] & columns[:, None, :] & rng.bernoulli(CORRUPTION_PROB)[:, None, None]
    return pictures * ~hole[:, None]


def compute_losses(network: FacingNetwork, batch: CropBatch) -> Losses:
    """Cross-entropy against azimuths near the true one, and the absolute error of the offsets there."""
    planes = batch.planes
    with torch.autocast(planes.device.type, torch.bfloat16):
        logits, offsets = network(encode_picture(batch.pictures))
    unit_planes = constant(tuple(upright_plane(azimuth, 1.0) for azimuth in AZIMUTHS_DEG), planes.device)
    distances = angle_between_deg(planes[:, None], unit_planes)
    target = F.normalize(torch.exp(-0.5 * (distances / TARGET_STD_DEG).square()), p=1, dim=1)
    offset = planes[:, 2:] @ unit_planes[:, 2:].T / OFFSET_UNIT  # the foot's component along each normal
    error = ((offsets - offset).abs() * target).sum(1).mean()
    return {"azimuth": F.cross_entropy(logits, target), "offset": 3 * error}


@torch.no_grad()
def validate(network: FacingNetwork, holdout: CropBatch) -> dict[str, float]:
    """Scores on crops of holdout objects: the first answer's errors, and its mean weight."""
    angles, feet, weights = [], [], []
    predictions = [network(encode_picture(part)) for part in holdout.pictures.split(CHUNK)]
    logits, offsets = (torch.cat(parts).cpu() for parts in zip(*predictions, strict=True))
    for k, true in enumerate(holdout.planes.cpu()):
        planes, weight = top_planes(logits[k], offsets[k])
        angles.append(float(angle_between_deg(planes[0], true)))
        feet.append(float((planes[0] - true)[2:].norm()))
        weights.append(float(weight[0]))
    return {
        "correct": float(np.mean([angle < CORRECT_DEG for angle in angles])),
        "median_deg": float(np.median(angles)),
        "foot": float(np.median(feet)),
        "weight": float(np.mean(weights)),
    }


def main(argv: Sequence[str]) -> None:
    """Train until the time is over."""
    launch(train, tyro.cli(FacingOptions, prog="python -m train.embedded.train_facing", args=argv))


def train(rank: int, options: FacingOptions) -> None:
    """The work of one process."""
    seed = options.seed + 7919 * rank
    source, holdout_source = example_sources(options, seed)
    trainer = Trainer(options, rank, FacingNetwork, load_initial_weights)
    random = generator(trainer.device, seed + trainer.seen)
    holdout = holdout_source.sample_crops(min(HOLDOUT_SIZE, 16 * options.batch))

    draw = repeated(source.sample_crops, options.reuse)
    objects = max(1, options.together * options.batch // VIEWS)
    trainer.fit(
        amortized(lambda: augment(draw(objects), random).split(options.batch)),
        compute_losses,
        lambda network: validate(network, holdout),
    )


def load_initial_weights(network: FacingNetwork, weights: dict[str, Tensor]) -> None:
    """Load the weights of an earlier run."""
    network.load_state_dict(with_prefix(weights, "facing."))


if __name__ == "__main__":
    main(sys.argv[1:])
