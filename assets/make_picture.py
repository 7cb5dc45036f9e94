"""Draws `assets/readme.png` from a finished run: `python -m assets.make_picture runs/dinosaur`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ar4d.asset import frame_time
from ar4d.cameras import orbit
from ar4d.rendering import render
from ar4d.runs import Run

FRAMES = 6
AZIMUTHS_DEG = (0.0, 30.0, 90.0, 180.0)
CELL = 200  # px


def main() -> None:
    run = Run.open(Path(sys.argv[1]))
    clip, asset = run.clip, run.asset()
    columns = []
    for k in np.linspace(0, clip.num_frames - 1, FRAMES, dtype=int).tolist():
        frame = Image.fromarray((clip.rgb_on_white()[k].numpy() * 255).astype(np.uint8)).resize((CELL, CELL))
        with torch.no_grad():
            views = render(asset.at(frame_time(k, clip.num_frames)), orbit(AZIMUTHS_DEG, size=2 * CELL)).rgb
        pictures = [Image.fromarray(v) for v in (views.clamp(0, 1) * 255).byte().numpy()]
        columns.append(np.concatenate([np.asarray(p.resize((CELL, CELL))) for p in (frame, *pictures)]))
    Image.fromarray(np.concatenate(columns, axis=1)).save(Path(__file__).parent / "readme.png", optimize=True)


if __name__ == "__main__":
    main()
