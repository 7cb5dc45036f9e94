"""Trains the grid expert's network.

    python -m train.grid.train_grid --grids grids --holdout holdout --size nano --out runs/grid --minutes 180

The same command runs on a CPU and, in bfloat16, on a GPU. A stopped run resumes from RUN/last.pt.
RUN/curve.jsonl and RUN/curve.png show the validation scores against the examples seen, RUN/sheet_*.png
holdout objects.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import tyro
from torch import Tensor

from ar4d.experts.grid.config import Sync, named
from ar4d.experts.grid.flow import add_noise, draw_sigma, velocity_loss
from ar4d.experts.grid.network import GridNetwork
from train.grid.dataset import GridDataset, GridExamples, GridShards, Shares
from train.grid.measure import validate
from train.loop import Losses, Options, Trainer, launch


@dataclass(frozen=True)
class GridOptions(Options):
    """Train the network that draws a grid of views and times."""

    grids: tuple[Path, ...] = ()
    """Folders of `train.grid.make_grids`."""
    holdout: tuple[Path, ...] = ()
    """The same, made with --holdout."""
    size: str = "nano"
    """Size of the network (`ar4d/experts/grid/config.py`)."""
    sync: Sync = "soft"
    """How the streams are synchronised."""
    shares: Shares = field(default_factory=Shares)
    """How often each condition is shown."""
    affine: float = 0.0
    """Share of batches that are pseudo-4D clips; orthogonal views hardly look like them."""
    pure: float = 0.4
    """Share of samples that are noise alone."""
    validated: int = 24
    """Largest number of holdout grids."""
    steps: int = 12
    """Euler steps of the validation's samples."""
    batch: int = 4
    lr: float = 1.2e-3
    ema: float = 0.995


def compute_losses(network: GridNetwork, batch: GridExamples, pure: float, random: torch.Generator) -> Losses:
    """The velocity's squared error on cells that are not known; on a GPU the network runs in bfloat16."""
    sigma = draw_sigma(len(batch.clean), pure, random)
    noised = add_noise(batch.clean, sigma, random)
    # On CPUs without instructions for bfloat16 it is ten times slower than single precision.
    with torch.autocast("cuda", torch.bfloat16, enabled=batch.clean.is_cuda):
        predicted = network(noised, batch.given, batch.flags, sigma)
    unknown = 1 - batch.flags[..., 0]
    return {"velocity": velocity_loss(predicted, batch.clean, unknown, sigma)}


def main(argv: Sequence[str]) -> None:
    """Train until the time is over."""
    launch(train, tyro.cli(GridOptions, prog="python -m train.grid.train_grid", args=argv))


def train(rank: int, options: GridOptions) -> None:
    """The work of one process."""
    config = replace(named(options.size), sync=options.sync)
    seed = options.seed + 7919 * rank
    shards = GridShards(options.grids, size=config.height)
    held = GridShards(options.holdout, options.validated, config.height) if options.holdout else None
    trainer = Trainer(options, rank, lambda: GridNetwork(config), load_initial_weights)
    dataset = GridDataset(shards, config, options.shares, options.affine, seed + trainer.seen)
    random = torch.Generator(trainer.device).manual_seed(seed + trainer.seen)

    def validated(network: GridNetwork) -> dict[str, float]:
        return {} if held is None else validate(network, held, options.steps, options.out)

    trainer.fit(
        lambda: to_device(dataset.draw(options.batch), trainer.device),
        lambda network, batch: compute_losses(network, batch, options.pure, random),
        validated,
    )


def to_device(batch: GridExamples, device: torch.device) -> GridExamples:
    """The batch on a device."""
    return GridExamples(*(x.to(device, non_blocking=True) for x in (batch.clean, batch.given, batch.flags)))


def load_initial_weights(network: GridNetwork, weights: dict[str, Tensor]) -> None:
    """Load the weights of an earlier run."""
    network.load_state_dict(weights)


if __name__ == "__main__":
    main(sys.argv[1:])
