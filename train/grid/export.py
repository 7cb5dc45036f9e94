"""Writes a run's averaged weights as the file that the expert reads.

    python -m train.grid.export --run runs/grid/last.pt --size nano --out grid.safetensors --steps 12

Half precision, safetensors; the file says how large its network is and how it is sampled. Set AR4D_GRID to
it, and `ar4d lift CLIP --views.expert grid` uses it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

from ar4d.experts.grid import checkpoint
from ar4d.experts.grid.checkpoint import Sampling
from ar4d.experts.grid.config import Sync, named
from ar4d.experts.grid.network import GridNetwork


@dataclass(frozen=True)
class Options:
    """Export the grid expert's weights."""

    run: Path
    """last.pt of a run of train.grid.train_grid."""
    size: str = "nano"
    """Size of its network."""
    sync: Sync = "soft"
    """How its streams are synchronised."""
    out: Path = checkpoint.BUNDLED
    """The safetensors file."""
    steps: int = 12
    """Euler steps of a sampling; 1: the mean."""
    temperature: float = 1.0
    """Standard deviation of the noise that a sampling begins with."""
    decided: bool = False
    """Make alpha steep afterwards."""


def main(argv: Sequence[str]) -> None:
    """Write the file and print its size."""
    options = tyro.cli(Options, prog="python -m train.grid.export", args=argv)
    network = read_run(options.run, options.size, options.sync)
    checkpoint.save(network, Sampling(options.steps, options.temperature, options.decided), options.out)
    print(f"{options.out}: {options.out.stat().st_size / 2**20:.1f} MiB")


def read_run(path: Path, size: str, sync: Sync) -> GridNetwork:
    """The averaged network of a checkpoint."""
    network = GridNetwork(replace(named(size), sync=sync))
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["average"])
    return network.eval()


if __name__ == "__main__":
    main(sys.argv[1:])
