"""What trained networks reach on holdout grids: true tokens, the guess's tokens, and STAR's.

    python -m train.star.evaluate --weights star.safetensors --grids KEPT --out RUN

PSNR (on white) and IoU of the unseen views. RUN/scores.json holds the figures, RUN/sheet.png the first
objects: the truth, then each way; in a row the views of the last time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import tyro
from torch import Tensor

from ar4d.experts.star.codec import window_codes
from ar4d.experts.star.history import context_of
from ar4d.experts.star.sampling import Sampler, sample_group
from ar4d.experts.star.weights import Networks, load_networks
from train.report import draw_sheet
from train.star.losses import rendered
from train.star.shards import joined, stored_grids
from train.star.train_codes import measured, picture_scores
from train.star.train_star import codes_of

SHOWN = 6
"""Objects on the sheet."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Score the engine star's networks on stored grids."""

    weights: Path
    """File of train.star.export."""
    grids: tuple[Path, ...]
    """Folders of grids that were not trained on."""
    out: Path
    objects: int = 16
    """Number of grids, evenly from all."""
    sampler: Sampler = field(default_factory=Sampler)
    seed: int = 0


@torch.no_grad()
def main(argv: Sequence[str]) -> None:
    """Score, print and write the figures."""
    options = tyro.cli(EvaluateOptions, prog="python -m train.star.evaluate", args=argv)
    torch.set_num_threads(1)
    networks = load_networks(options.weights)
    codec, config = networks.codec, networks.codec.config
    grids = stored_grids(options.grids, config.azimuths_deg, config.size, 0, guess=True)
    grids = grids[:: max(len(grids) // options.objects, 1)][: options.objects]
    whole, _ = measured(codec, joined(grids), still=False)
    scores: dict[str, dict[str, float]] = {"true tokens, all views": whole}
    sums: dict[str, list[dict[str, float]]] = {}
    rows, began = [], time.perf_counter()
    for index, grid in enumerate(grids):
        assert grid.guess is not None  # asked for above
        truth = grid.rgba.float()
        true, guess = codes_of(codec, truth), codes_of(codec, grid.guess.float())
        guess = torch.cat([true[:, :, :1], guess[:, :, 1:]], 2)
        ways = {"true tokens": true, "guess's tokens": guess}
        ways["STAR's tokens"] = sampled(networks, true, guess, options.sampler, options.seed + index)
        pictures = {name: decoded(networks, codes) for name, codes in ways.items()}
        pictures["the guess itself"] = grid.guess[0].float().transpose(0, 1)
        wanted = truth[0].transpose(0, 1)  # [T, V, 4, S, S]
        for name, seen in pictures.items():
            sums.setdefault(name, []).append(picture_scores(seen[:, 1:], wanted[:, 1:]))
        if index < SHOWN:
            rows += [_row(x[-1]) for x in (wanted, *pictures.values())]
    for name, found in sums.items():
        scores[name] = {key: sum(x[key] for x in found) / len(found) for key in found[0]}
    options.out.mkdir(parents=True, exist_ok=True)
    draw_sheet(options.out, rows)
    (options.out / "scores.json").write_text(json.dumps(scores, indent=1))
    print(json.dumps(scores, indent=1))
    print(f"{time.perf_counter() - began:.0f} s")


def sampled(networks: Networks, true: Tensor, guess: Tensor, sampler: Sampler, seed: int) -> Tensor:
    """Codes [1, T, V, N, K] that STAR draws from those of the clip, true[:, :, 0], and of the guess."""
    star, random = networks.star, torch.Generator().manual_seed(seed)
    groups = true[:, :0, 1:].flatten(2, 3)
    for frame in range(true.shape[1]):
        context = context_of(true[:, :, 0], groups, frame, star.codec, star.config)
        context = replace(context, guess=star.ordered(guess[:, frame]))
        drawn = sample_group(star, context, sampler, random)
        groups = torch.cat([groups, star.by_view(drawn).flatten(1, 2)[:, None]], 1)
    return torch.cat([true[:, :, :1], groups.unflatten(2, (star.codec.views - 1, -1))], 2)


def decoded(networks: Networks, codes: Tensor) -> Tensor:
    """Pictures [T, V, 4, S, S] of codes [1, T, V, N, K], each time in its window."""
    config, made = networks.codec.config, []
    for frame in range(codes.shape[1]):
        splats = networks.codec.decode(window_codes(codes[0], frame, config.window))
        last = type(splats)(*(part[-1:] for part in vars(splats).values()))
        made.append(rendered(last, config))
    return torch.cat(made)


def _row(views: Tensor) -> Tensor:
    """[S, V · S, 3] on white of views [V, 4, S, S]."""
    white = views[:, :3] + 1 - views[:, 3:]
    return torch.cat([*white.movedim(1, -1)], 1)


if __name__ == "__main__":
    main(sys.argv[1:])
