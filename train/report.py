"""Pictures of a run: how its validation goes, and what the expert makes of unseen objects."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

WIDTH, HEIGHT, MARGIN = 640, 360, 48


def draw_curve(run: Path) -> None:
    """Draws RUN/curve.png: the validation's first two scores against the logarithm of the examples seen."""
    lines = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    seen = [math.log2(max(line["seen"], 1)) for line in lines]
    across = _scale(seen, MARGIN, WIDTH - MARGIN)
    draw.rectangle((MARGIN, MARGIN, WIDTH - MARGIN, HEIGHT - MARGIN), outline="gray")
    names = list(lines[-1]["scores"])[:2]
    for name, color, left in zip(names, ("firebrick", "steelblue"), (MARGIN, MARGIN + 200), strict=True):
        values = [line["scores"][name] for line in lines]
        points = list(zip(across, _scale(values, HEIGHT - MARGIN, MARGIN), strict=True))
        draw.line(points, fill=color, width=2)
        for x, y in points:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
        draw.text((left, MARGIN - 24), f"{name} {min(values):.3g} to {max(values):.3g}", fill=color)
    text = f"{lines[0]['seen']} to {lines[-1]['seen']} examples, logarithmic"
    draw.text((MARGIN, HEIGHT - MARGIN + 12), text, fill="black")
    image.save(run / "curve.png")


def draw_sheet(run: Path, rows: list[Tensor]) -> None:
    """Saves RUN/sheet.png: one row of pictures [S, W, 3] per object, the guess left of the truth."""
    pixels = (torch.cat(rows).clamp(0, 1) * 255).round().byte()
    Image.fromarray(pixels.numpy()).save(run / "sheet.png")


def _scale(values: list[float], start: float, end: float) -> list[float]:
    low, high = min(values), max(values)
    return [start + (end - start) * (value - low) / max(high - low, 1e-9) for value in values]
