"""Compares the ways of synchronising: one size, the same data, equally many steps, several seeds.

    python -m train.grid.ablation --grids grids --holdout holdout --examples 50000 --out runs/ablation

Every run lies in a folder of its own, OUT/SYNC-SEED, and resumes there; finished ones are not trained again.
The table shows means and standard deviations over the seeds, of the mean (one step) and of all steps.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import tyro

from ar4d.experts.grid.config import Sync
from train.grid.train_grid import GridOptions, train
from train.loop import launch

SCORES = ("psnr", "iou", "sharpness", "motion", "lpips")


@dataclass(frozen=True)
class Options:
    """Train and compare all ways of synchronising."""

    grids: tuple[Path, ...]
    """Folders of train.grid.make_grids."""
    holdout: tuple[Path, ...]
    """The same, made with --holdout."""
    out: Path
    """Folder of the runs; table.md is written there."""
    size: str = "nano"
    examples: int = 50_000
    """Examples that every run sees."""
    minutes: float = 600.0
    """Longest time of a run. The learning rate falls over it, so give what the examples take."""
    batch: int = 4
    warm_up: int = 400
    seeds: tuple[int, ...] = (0, 1, 2)
    syncs: tuple[Sync, ...] = get_args(Sync)
    validated: int = 24
    steps: int = 12
    device: str = "auto"


def main(argv: Sequence[str]) -> None:
    """Train what is missing and print the table."""
    options = tyro.cli(Options, prog="python -m train.grid.ablation", args=argv)
    results: dict[Sync, list[dict[str, float]]] = {
        sync: [result(options, sync, seed) for seed in options.seeds] for sync in options.syncs
    }
    text = table(results)
    (options.out / "table.md").write_text(text)
    print(text)


def result(options: Options, sync: Sync, seed: int) -> dict[str, float]:
    """The last validation of one run, which is trained if need be."""
    run = GridOptions(
        out=options.out / f"{sync}-{seed}",
        grids=options.grids,
        holdout=options.holdout,
        size=options.size,
        sync=sync,
        seed=seed,
        examples=options.examples,
        minutes=options.minutes,
        save_every=options.minutes,
        batch=options.batch,
        warm_up=options.warm_up,
        validated=options.validated,
        steps=options.steps,
        device=options.device,
    )
    if not (run.out / "options.json").exists():
        launch(train, run)
    return json.loads((run.out / "curve.jsonl").read_text().splitlines()[-1])["scores"]


def table(results: Mapping[Sync, list[dict[str, float]]]) -> str:
    """A table in Markdown."""
    lines = []
    for condition in ("refine", "transfer"):
        for row in ("one", "sampled"):
            names = [
                s for s in SCORES if all(f"{condition}_{row}_{s}" in r for rs in results.values() for r in rs)
            ]
            lines += [
                "",
                f"{condition}, {row}",
                "",
                f"| sync | {' | '.join(names)} |",
                "|---" * (1 + len(names)) + "|",
            ]
            for sync, runs in results.items():
                cells = [_cell([run[f"{condition}_{row}_{name}"] for run in runs]) for name in names]
                lines.append(f"| {sync} | {' | '.join(cells)} |")
    return "\n".join([*lines[1:], ""])


def _cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


if __name__ == "__main__":
    main(sys.argv[1:])
