"""The paper's ablations on equal budgets: what the history of STAR is, STOP, and what offsets start from.

    python -m train.star.ablation --procedural 200 --points 6000 --out RUN --examples 3000 --seeds 3

Each variant is trained for `examples` or `minutes`, whichever end first; those of STAR share the 4D VQ-VAE
of the variant "stop". A variant that is finished is not trained again, so that a stopped ablation goes on
where it was. RUN/table.md holds the mean of the seeds and, for several, the standard deviation.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import tyro

from train.loop import launch
from train.star import train_codes, train_star
from train.star.train_codes import CodesOptions
from train.star.train_star import StarOptions
from train.star.windows import DataOptions

CODES: dict[str, dict[str, Any]] = {
    "stop": {},
    "no stop": {"stop": False},
    "offsets from each time": {"canonical": "each"},
    "no offsets": {"canonical": "each", "stop": False},
}
"""Variants of the 4D VQ-VAE. With "each" and without STOP a time is its static Gaussians alone."""
HISTORIES: dict[str, dict[str, Any]] = {
    name: {"history": name} for name in ("container", "pooled", "all", "none")
}
CODES_SCORES = ("psnr", "iou", "motion", "used")
STAR_SCORES = ("entropy", "entropy_later", "accuracy")


@dataclass(frozen=True)
class AblationOptions(DataOptions):
    """Compare the parts of 4DSTAR."""

    size: str = "mini"
    """Name of the 4D VQ-VAE's size."""
    star_size: str = "tiny"
    """Name of STAR's size."""
    seeds: int = 1
    """Trainings of each variant."""
    mixing: int = 1000
    """Steps over which the share of tokens that pass through the codebooks rises to all."""


def main(argv: Sequence[str]) -> None:
    """Train all variants and write the tables."""
    options = tyro.cli(AblationOptions, prog="python -m train.star.ablation", args=argv)
    options.out.mkdir(parents=True, exist_ok=True)
    tables = [
        _table("4D VQ-VAE", CODES_SCORES, {name: _codes(options, name) for name in CODES}),
        _table("STAR", STAR_SCORES, {name: _star(options, name) for name in HISTORIES}),
    ]
    text = "\n\n".join(tables)
    (options.out / "table.md").write_text(text + "\n")
    print(text)


def _codes(options: AblationOptions, name: str) -> list[dict[str, float]]:
    """The last scores of a variant of the 4D VQ-VAE, one for each seed."""
    scores = []
    for seed in range(options.seeds):
        out = _folder(options, f"codes {name}", seed)
        changed = {"out": out, "seed": seed, "size": options.size, "mixing": options.mixing}
        changed |= CODES[name]
        if not _is_finished(out):
            launch(train_codes.train, CodesOptions(**(_shared(options) | changed)))
        scores.append(_last_scores(out))
    return scores


def _star(options: AblationOptions, name: str) -> list[dict[str, float]]:
    """The last scores of a variant of STAR, one for each seed."""
    scores = []
    for seed in range(options.seeds):
        out, codes = _folder(options, f"star {name}", seed), _folder(options, "codes stop", seed) / "last.pt"
        changed = {"out": out, "seed": seed, "size": options.star_size, "codes": codes, **HISTORIES[name]}
        if not _is_finished(out):
            launch(train_star.train, StarOptions(**(_shared(options) | changed)))
        scores.append(_last_scores(out))
    return scores


def _shared(options: AblationOptions) -> dict[str, Any]:
    """The options of a training that the ablation passes on; batches and rates are each training's own."""
    own = ("batch", "lr", "warm_up")
    return {f.name: getattr(options, f.name) for f in fields(DataOptions) if f.name not in own}


def _folder(options: AblationOptions, name: str, seed: int) -> Path:
    return options.out / f"{name.replace(' ', '-')}-{seed}"


def _is_finished(out: Path) -> bool:
    return (out / "options.json").exists()


def _last_scores(out: Path) -> dict[str, float]:
    return json.loads((out / "curve.jsonl").read_text().splitlines()[-1])["scores"]


def _table(title: str, names: Sequence[str], variants: dict[str, list[dict[str, float]]]) -> str:
    """A table in Markdown, one row a variant."""
    rows = [f"| {title} | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for variant, scores in variants.items():
        cells = [_cell([score[name] for score in scores]) for name in names]
        rows.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}"


if __name__ == "__main__":
    main(sys.argv[1:])
