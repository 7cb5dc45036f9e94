"""How full the rasteriser's vectors are, and what tighter bounds than a splat's box would save.

    python -m benchmarks.lanes [--asset assets/example_run/refined.safetensors]

A splat is blended over its box in vectors of eight pixels. Many pixels of the box lie where its alpha is
below 1/255. The table counts the vectors of all splats in their tiles, closed pixels included: as they are,
with a range of rows for each column of vectors, with a range of pixels for each row, and if every lane held
a pixel that counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from ar4d.asset import load_asset
from ar4d.cameras import orbit
from ar4d.gaussians import Gaussians
from ar4d.presets import CPU
from ar4d.rendering.cpu.buffers import Renderer
from ar4d.rendering.cpu.lanes import LANES
from ar4d.rendering.cpu.layout import ALPHA_MIN, MEAN, OPACITY, SHAPE, TILE
from benchmarks.speed_child import ball


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--asset", type=Path, default=Path("assets/example_run/refined.safetensors"))
    asset = load_asset(parser.parse_args().asset)
    print(
        "| Gaussians | view | pixels inside | vectors in a tile | rows of a column | pixels of a row | full |"
    )
    print("|---|---|---:|---:|---:|---:|---:|")
    scenes = {"the ball": ball(CPU.initialize.gaussians, 0.0), "the asset": asset.at(0.5)}
    for name, gaussians in scenes.items():
        for size, azimuth_deg in ((CPU.size, 0.0), (CPU.pseudo_size, 60.0)):
            inside, now, columns, rows, full = counted(gaussians, size, azimuth_deg)
            shares = " | ".join(f"{100 * x / now:.0f} %" for x in (columns, rows, full))
            print(f"| {name} | {size}² | {100 * inside:.0f} % | {now:.1f} | {shares} |", flush=True)


def counted(gaussians: Gaussians, size: int, azimuth_deg: float) -> tuple[float, ...]:
    """Share of the boxes' pixels that count, and four numbers of vectors, means over splats in tiles."""
    renderer = Renderer(len(gaussians), size)
    with torch.no_grad():
        renderer.render(gaussians, orbit(azimuth_deg, size=size))
    views = renderer._views
    seen = views.touched[0] > 0
    totals, instances = np.zeros(5), 0
    for splat, box in zip(views.splats[0][seen], views.boxes[0][seen], strict=True):
        for x0, x1, y0, y1 in parts(box):
            dx = splat[MEAN] - (np.arange(x0, x1) + 0.5)
            dy = splat[MEAN + 1] - (np.arange(y0, y1) + 0.5)
            a, m, b = splat[SHAPE : SHAPE + 3]
            exponent = a * (dx - m * dy[:, None]) ** 2 + b * dy[:, None] ** 2
            counts = exponent <= 2 * np.log(splat[OPACITY] / ALPHA_MIN)
            first, last = counts.argmax(1), counts.shape[1] - counts[:, ::-1].argmax(1)
            totals += (
                counts.size,
                len(counts) * -(-counts.shape[1] // LANES),
                sum(counts[:, k : k + LANES].any(1).sum() for k in range(0, counts.shape[1], LANES)),
                np.where(counts.any(1), -((first - last) // LANES), 0).sum(),
                counts.sum(),
            )
            instances += 1
    pixels, now, columns, rows, inside = totals
    return inside / pixels, now / instances, columns / instances, rows / instances, inside / LANES / instances


def parts(box: np.ndarray) -> list[tuple[int, int, int, int]]:
    """The parts of a box (x0, x1, y0, y1) in the tiles that it touches."""
    x0, x1, y0, y1 = box.tolist()
    return [
        (max(x0, x), min(x1, x + TILE), max(y0, y), min(y1, y + TILE))
        for y in range(y0 // TILE * TILE, y1, TILE)
        for x in range(x0 // TILE * TILE, x1, TILE)
    ]


if __name__ == "__main__":
    main()
