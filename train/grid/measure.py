"""Scores of grids against the truth, on holdout objects and in cells that are not known.

The row "given" is what the network was shown, "steep" the same with a decided alpha: a network that does not
beat that one has learned less than a formula. Sharpness rises by noise, too: read it with LPIPS and IoU.
Copies of the frozen column are close to the truth because little moves, so "moved" scores those pixels alone
that have changed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ar4d.evaluation import lpips
from ar4d.evaluation.metrics import motion_psnr, psnr, silhouette_iou
from ar4d.experts.grid.conditions import from_network, to_network
from ar4d.experts.grid.flow import euler, noise_levels
from ar4d.experts.grid.network import GridNetwork
from ar4d.experts.grid.pictures import decided
from train.grid.dataset import GridExamples, GridShards, examples

CHUNK = 4
"""Grids that are sampled at a time."""
SEED = 5
CHANGED = 0.1
"""Difference of colour between the truth and the frozen column from which a pixel has moved."""
GAP = 1
"""Pixels between two pictures of a sheet."""
SHOWN = 6
"""Objects of a sheet."""
Rows = dict[str, Tensor]


@torch.no_grad()
def validate(network: GridNetwork, holdout: GridShards, steps: int, out: Path | None) -> dict[str, float]:
    """Scores of the conditions "refine" and "transfer"; sheets of both in the folder `out`."""
    scores: dict[str, float] = {}
    for condition in ("refine", "transfer"):
        batch, rows = sampled(network, holdout, condition, steps)
        truth = from_network(batch.clean)
        for name, grid in rows.items():
            scores |= {f"{condition}_{name}_{k}": v for k, v in score(grid, truth, condition).items()}
        if out is not None:
            draw_sheet(out / f"sheet_{condition}.png", truth, rows)
    first = ("refine_one_iou", "refine_one_psnr")  # the curve shows these
    return {name: scores[name] for name in first} | scores


@torch.no_grad()
def sampled(
    network: GridNetwork,
    shards: GridShards,
    condition: Literal["refine", "transfer"],
    steps: int,
    temperature: float = 1.0,
) -> tuple[GridExamples, Rows]:
    """A batch of all shards' first times, and grids [N, V, T, 4, S, S] in [0, 1], premultiplied, by name."""
    times = torch.arange(network.config.times)
    truth, guess = shards.pictures(torch.arange(len(shards)), times)
    batch = examples(truth, guess, condition, 0, None)
    given = from_network(batch.given)
    rows: Rows = {"given": given, "steep": decided(given)}
    for name, count in {"one": 1, "sampled": steps}.items():
        parts = [
            sample(network, GridExamples(*part), count, temperature, SEED)
            for part in zip(*(x.split(CHUNK) for x in (batch.clean, batch.given, batch.flags)), strict=True)
        ]
        rows[name] = torch.cat(parts)
    return batch, rows | {f"{name}-steep": decided(rows[name]) for name in ("one", "sampled")}


@torch.no_grad()
def sample(network: GridNetwork, batch: GridExamples, steps: int, temperature: float, seed: int) -> Tensor:
    """Grids of a batch, known cells as they are: premultiplied, in [0, 1], on the CPU."""
    device = network.place.device
    given, flags = batch.given.to(device), batch.flags.to(device)
    noise = torch.randn(given.shape, generator=torch.Generator().manual_seed(seed))
    start = temperature * noise.to(device)

    def denoise(z: Tensor, sigma: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            return network(z, given, flags, sigma.to(device)).float()

    drawn = euler(denoise, start, noise_levels(steps))
    known = flags[..., 0, None, None, None] > 0
    return from_network(torch.where(known, given, drawn)).cpu()


def score(found: Tensor, truth: Tensor, condition: str) -> dict[str, float]:
    """Mean scores of premultiplied grids [N, V, T, 4, S, S] in the cells that the condition leaves open."""
    first = 1 if condition == "transfer" else 0
    a, b = (to_network(x)[:, 1:].movedim(3, -1) for x in (found, truth))  # [N, V - 1, T, S, S, 4]
    a, b = (x / 2 + 0.5 for x in (a, b))
    open_a, open_b = (x[:, :, first:].flatten(0, 2) for x in (a, b))
    scores = {
        "psnr": psnr(open_a[..., :3], open_b[..., :3]).mean(),
        "iou": silhouette_iou(open_a[..., 3], open_b[..., 3]).mean(),
        "sharpness": _gradient(open_a) / _gradient(open_b),
        "motion": torch.stack(
            [motion_psnr(p[..., :3], t[..., :3]).mean() for p, t in zip(a.flatten(0, 1), b.flatten(0, 1),
            strict=True)]
        ).mean(),
    }  # fmt: skip
    if condition == "transfer":
        changed = ((b[:, :, 1:] - b[:, :, :1])[..., :3].abs().amax(-1) > CHANGED)[..., None]
        error = ((a - b)[:, :, 1:, ..., :3].square() * changed).sum() / (3 * changed.sum().clamp_min(1))
        scores["moved"] = -10 * error.clamp_min(1e-10).log10()
    distance = _lpips()
    if distance is not None:
        scores["lpips"] = distance(open_a[..., :3].contiguous(), open_b[..., :3].contiguous()).mean()
    return {name: round(float(value), 4) for name, value in scores.items()}


def _gradient(pictures: Tensor) -> Tensor:
    """Mean |∇| of colours [..., S, S, 4]."""
    rgb = pictures[..., :3]
    return rgb.diff(dim=-2).abs().mean() + rgb.diff(dim=-3).abs().mean()


@cache
def _lpips() -> lpips.Lpips | None:
    """LPIPS, if its weights are named (`ar4d.evaluation.lpips`)."""
    path = lpips.find_weights()
    return None if path is None else lpips.Lpips.load(path)


def draw_sheet(path: Path, truth: Tensor, rows: Rows) -> None:
    """One line per object at the last time: the clip; then its other views in each row; then in truth."""
    lines = []
    for k in range(min(SHOWN, len(truth))):
        parts = [truth[k, :1, -1]]
        for grid in (*rows.values(), truth):
            parts.append(grid[k, 1:, -1])
        white = [F.pad(to_network(part)[:, :3] / 2 + 0.5, (0, GAP)) for part in parts]
        lines.append(torch.cat([row for part in white for row in part], -1))
    pixels = (255 * torch.cat(lines, 1).clamp(0, 1)).round().byte().permute(1, 2, 0)
    Image.fromarray(pixels.numpy()).save(path)
