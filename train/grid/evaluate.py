"""Measures a trained grid network on holdout objects, beside the guess that it was shown.

    AR4D_LPIPS=lpips_alex.pt python -m train.grid.evaluate --weights grid.safetensors --holdout holdout

Rows: "given" is what the network was shown (in "transfer" the copied column), "steep" that with a decided
alpha, "one" one step of the sampler (the mean of all answers), "sampled" all steps, and "one-steep" and
"sampled-steep" these with a decided alpha.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from ar4d.errors import UserError
from ar4d.experts.grid import checkpoint
from ar4d.experts.grid.conditions import from_network
from ar4d.experts.grid.config import GridConfig
from ar4d.experts.grid.network import GridNetwork
from train.grid.dataset import GridShards
from train.grid.measure import Rows, draw_sheet, sampled, score
from train.grid.residual import residual_psnr

COLUMNS = ("lpips", "iou", "psnr", "sharpness", "motion", "moved", "3d")


@dataclass(frozen=True)
class Options:
    """Measure a grid network."""

    holdout: tuple[Path, ...]
    """Folders of train.grid.make_grids --holdout."""
    weights: Path | None = None
    """Output of train.grid.export; None: an untrained network, which shows the guess."""
    count: int = 40
    """Largest number of grids."""
    steps: int = 12
    """Euler steps of the row "sampled"."""
    temperature: float = 1.0
    """Standard deviation of the noise that samples begin with."""
    residual: int = 0
    """Number of moments to which Gaussians are fitted for the 3D residual, which takes seconds each."""
    sheets: Path | None = None
    """Folder for a picture of each condition."""


def main(argv: Sequence[str]) -> None:
    """Print a table for each condition."""
    options = tyro.cli(Options, prog="python -m train.grid.evaluate", args=argv)
    torch.set_num_threads(1)
    network = (
        GridNetwork(GridConfig(times=2)) if options.weights is None else checkpoint.load(options.weights)[0]
    )
    shards = GridShards(options.holdout, options.count, network.config.height)
    for condition in ("refine", "transfer"):
        batch, rows = sampled(network, shards, condition, options.steps, options.temperature)
        truth = from_network(batch.clean)
        print(f"\n{condition}, {len(truth)} grids\n\n| row | {' | '.join(COLUMNS)} |")
        print("|---" * (1 + len(COLUMNS)) + "|")
        for name, grid in ({"truth": truth} | rows).items():
            scores = score(grid, truth, condition) if name != "truth" else {}
            scores |= _residual(grid, network.config.azimuths_deg, options.residual)
            cells = [f"{scores[column]:.3f}" if column in scores else "–" for column in COLUMNS]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        if options.sheets is not None:
            options.sheets.mkdir(parents=True, exist_ok=True)
            _sheet(options.sheets / f"grid_{condition}.png", truth, rows)


def _residual(grid: torch.Tensor, azimuths_deg: tuple[float, ...], count: int) -> dict[str, float]:
    if count == 0:
        return {}
    values = [residual_psnr(views[:, -1], azimuths_deg) for views in grid[:count]]
    return {"3d": sum(values) / len(values)}


def _sheet(path: Path, truth: torch.Tensor, rows: Rows) -> None:
    draw_sheet(path, truth, {name: rows[name] for name in ("given", "one", "sampled")})


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"evaluate: {error}")
