"""Trains the network that finds the plane of symmetry in a picture.

    python -m train.train_facing --data DIR --out RUN --minutes 60

It needs nothing but pictures and their planes, and begins with the encoder of the embedded expert's
network (`--start`). Stopped, it goes on from RUN/last.pt.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import ar4d  # noqa: F401  before torch: it tells torch's threads to sleep while they wait

# isort: split
import numpy as np
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

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
from train.dataset import PLAIN, Samples, painted, turned
from train.trainer import Losses, Options, Trainer, in_processes

SPREAD_DEG = 4.0  # of the azimuths that an example counts for
RIGHT_DEG = 15.0
STRETCH = 0.25  # standard deviation of the logarithm


@dataclass(frozen=True)
class FacingOptions(Options):
    """Train the network that finds the plane of symmetry."""

    batch: int = 16
    lr: float = 1.2e-3
    weight_decay: float = 0.05


class Pictures(IterableDataset):
    """Endless pictures of symmetric samples with their planes."""

    def __init__(self, samples: Samples, seed: int) -> None:
        self.samples, self.seed = samples, seed
        self.symmetric = [k for k, plane in enumerate(samples.planes) if plane.any()]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        torch.set_num_threads(1)
        random = np.random.default_rng(self.seed)
        while True:
            for k in random.permutation(self.symmetric).tolist():
                roll, mirror = int(random.integers(VIEWS)), random.random() < 0.5
                picture = self.samples.view(k, int(random.integers(2)), roll, painted(random))
                picture = picture.flip(-1) if mirror else picture
                yield (
                    _blemished(_stretched(picture, random), random),
                    turned(self.samples.planes[k], roll, mirror),
                )


def _stretched(picture: Tensor, random: np.random.Generator) -> Tensor:
    """Taller or flatter: planes stay where they are, and a body's proportions do not tell its azimuth."""
    rows = (picture[3] > 0.5).any(1).nonzero()
    if len(rows) == 0:
        return picture
    middle = picture.shape[-1] / 2
    reach = max(float((rows - middle).abs().max()), 1.0)
    factor = min(float(np.exp(random.normal(0, STRETCH))), 0.98 * middle / reach)
    place = torch.tensor([[[1.0, 0, 0], [0, 1 / factor, 0]]])
    grid = F.affine_grid(place, [1, *picture.shape], align_corners=False)
    return F.grid_sample(picture[None], grid, align_corners=False)[0]


def _blemished(picture: Tensor, random: np.random.Generator) -> Tensor:
    """Blurred, or with a part missing, as real cut-outs are."""
    if random.random() < 0.3:
        size = int(random.integers(picture.shape[-1] // 3, picture.shape[-1]))
        small = F.interpolate(picture[None], size=(size, size), mode="area")
        picture = F.interpolate(small, size=picture.shape[-2:], mode="bilinear")[0]
    if random.random() < 0.3:
        y, x = random.integers(0, picture.shape[-1] - 20, 2)
        picture = picture.clone()
        picture[:, y : y + 20, x : x + 20] = 0
    return picture


def losses(network: FacingNetwork, batch: tuple[Tensor, Tensor]) -> Losses:
    """Cross-entropy against azimuths near the true one, and the error of the offsets told there."""
    device = next(network.parameters()).device
    pictures, planes = (x.to(device, non_blocking=True) for x in batch)
    with torch.autocast(device.type, torch.bfloat16):
        logits, offsets = network(encode_picture(pictures))
    every = torch.tensor([upright_plane(azimuth, 1.0) for azimuth in AZIMUTHS_DEG], device=device)
    away = angle_between_deg(planes[:, None], every)
    wanted = F.normalize(torch.exp(-0.5 * (away / SPREAD_DEG).square()), p=1, dim=1)
    offset = planes[:, 2:] @ every[:, 2:].T / OFFSET_UNIT  # of the foot, along each normal
    wrong = ((offsets - offset).abs() * wanted).sum(1).mean()
    return {"azimuth": F.cross_entropy(logits, wanted), "offset": 3 * wrong}


@torch.no_grad()
def validate(network: FacingNetwork, samples: Samples) -> dict[str, float]:
    """On every view of meshes that were kept: how far the answers are off, and how sure."""
    network = deepcopy(network).to("cpu")
    angles, feet, chances = [], [], []
    for k, plane in enumerate(samples.planes):
        if plane.any():
            pictures = torch.stack([samples.view(k, 0, roll, PLAIN) for roll in range(VIEWS)])
            told = network(encode_picture(pictures))
            for roll in range(VIEWS):
                planes, chance = likely_planes(told[0][roll], told[1][roll])
                found = planes[0]
                true = turned(plane, roll, False)
                angles.append(float(angle_between_deg(found, true)))
                feet.append(float((found - true)[2:].norm()))
                chances.append(float(chance[0]))
    right = [angle < RIGHT_DEG for angle in angles]
    near = [foot for foot, good in zip(feet, right, strict=True) if good]
    return {
        "right": float(np.mean(right)),
        "median_deg": float(np.median(angles)),
        "foot": float(np.mean(near)),
        "chance": float(np.mean(chances)),
    }


def main(argv: Sequence[str]) -> None:
    """Trains until the time is over."""
    in_processes(train, tyro.cli(FacingOptions, prog="python -m train.train_facing", args=argv))


def train(rank: int, options: FacingOptions) -> None:
    """What each process does."""
    trainer = Trainer(options, rank, FacingNetwork, begin_with)
    training, validation = (Samples(options.data, validation=kept) for kept in (False, True))
    stream = Pictures(training, options.seed + trainer.seen + 7919 * rank)
    loader = iter(DataLoader(stream, options.batch, num_workers=1, prefetch_factor=4))
    trainer.fit(loader, losses, lambda network: validate(network, validation), ("right", "median_deg"))


def begin_with(network: FacingNetwork, weights: dict[str, Tensor]) -> None:
    """Takes over what the weights have of this network, or else the encoder of the expert's."""
    trained = part_of(weights, "facing.")
    if trained:
        network.load_state_dict(trained)
        return
    own, others = network.state_dict(), part_of(weights, "network.")
    others["stem.weight"] = others["stem.weight"][:, : own["stem.weight"].shape[1]]
    fitting = {name: x for name, x in others.items() if name in own and not name.startswith("head")}
    network.load_state_dict(own | fitting)


if __name__ == "__main__":
    main(sys.argv[1:])
