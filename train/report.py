"""Pictures of a training run: its validation curve, and the expert's renders of holdout objects."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

COLORS = ("firebrick", "steelblue")


def draw_curve(run: Path) -> None:
    """Draw RUN/curve.png: the first two scores of RUN/curve.jsonl against the examples seen, logarithmic."""
    lines = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    left = figure.add_subplot()
    left.set_xlabel("examples seen")
    left.set_xscale("log")
    for name, color, axes in zip(list(lines[-1]["scores"])[:2], COLORS, (left, left.twinx()), strict=True):
        scored = [line for line in lines if name in line["scores"]]
        seen = [max(line["seen"], 1) for line in scored]
        axes.plot(seen, [line["scores"][name] for line in scored], color=color, marker=".")
        axes.set_ylabel(name, color=color)
        axes.tick_params(axis="y", colors=color)
    figure.savefig(run / "curve.png")


def draw_sheet(run: Path, rows: list[Tensor]) -> None:
    """Save RUN/sheet.png: one row of pictures [S, W, 3] per object, the renders left of the truth."""
    pixels = (torch.cat(rows).clamp(0, 1) * 255).round().byte()
    Image.fromarray(pixels.numpy()).save(run / "sheet.png")
