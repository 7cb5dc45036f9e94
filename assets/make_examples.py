"""Makes the example clips: subjects modelled as distance fields, traced with sphere tracing.

    python -m assets.make_examples [--out assets/examples] [--only NAME] [--sheet SHEET.png]

Each clip is 24 frames of 512 x 512 at 12 per second, a loop without a seam, seen by the reference camera
of `ar4d.cameras` (elevation 0). Six subjects stand on white; the mug and the car are filmed
(`assets.footage`): on a table before a wall, by a noisy hand-held camera. A small still of the first frame
lies beside each clip.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from assets import more_toys, toys
from assets.footage import filmed, surroundings
from assets.tracing import tracer

SIZE, FRAMES, FPS = 512, 24, 12
STILL = 256  # pixels
SHUTTER = (0.0, 0.17, 0.33, 0.5)  # the moments of a frame that the film sees
WHITE_CRF, FILM_CRF = 16, 26  # of the H.264 encoder
VARIED = 0.06  # difference between neighbouring pixels that takes more than one ray
Trace = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Subject:
    """One example: how it is traced, and the table that it is filmed on."""

    scene: Any
    color: Any
    samples: int = 2
    """Rays per pixel and axis, on white."""
    floor: float | None = None
    """Height of the table under a filmed subject; None for a subject on white."""
    woven: bool = False
    """A carpet on the table; otherwise wood."""


SUBJECTS = {
    "robot": Subject(toys.robot, toys.robot_color, samples=3),
    "fish": Subject(toys.fish, toys.fish_color, samples=3),
    "dinosaur": Subject(toys.dinosaur, toys.dinosaur_color, samples=3),
    "bird": Subject(more_toys.bird, more_toys.bird_color),
    "octopus": Subject(more_toys.octopus, more_toys.octopus_color),
    "plant": Subject(more_toys.plant, more_toys.plant_color),
    "mug": Subject(more_toys.mug, more_toys.mug_color, floor=-0.51),
    "car": Subject(more_toys.car, more_toys.car_color, floor=-0.45, woven=True),
}


def on_white(subject: Subject) -> np.ndarray:
    """All frames of a subject on white: [FRAMES, SIZE, SIZE, 3] in [0, 1]."""
    trace, frames = tracer(subject.scene, subject.color), []
    for k in range(FRAMES):
        pixels = _smooth(trace, 2 * math.pi * k / FRAMES, subject.samples)
        frames.append(pixels[..., :3] + 1 - pixels[..., 3:])
    return np.stack(frames)


def _smooth(trace: Trace, phase: float, samples: int) -> np.ndarray:
    """A frame [SIZE, SIZE, 4] in display values: one ray per pixel, and more where the picture varies."""
    pixels = _displayed(trace(phase, SIZE, np.ones((SIZE, SIZE), bool), 1))
    spread = maximum_filter(pixels, (3, 3, 1)) - minimum_filter(pixels, (3, 3, 1))
    varied = spread.max(-1) > VARIED
    fine = _displayed(trace(phase, SIZE * samples, varied, samples))
    return np.where(varied[..., None], _averaged(fine, samples), pixels)


def _displayed(light: np.ndarray) -> np.ndarray:
    """Linear light as display values; coverage stays."""
    light[..., :3] = np.clip(light[..., :3], 0, 1) ** (1 / 2.2)
    return light


def on_a_table(subject: Subject, floor: float) -> np.ndarray:
    """All frames of a filmed subject: [FRAMES, SIZE, SIZE, 3] in [0, 1]."""
    trace = tracer(subject.scene, subject.color)
    around = surroundings(subject.scene, floor, subject.woven)
    frames = [_exposed(trace, around, k) for k in range(FRAMES)]
    return filmed(np.stack(frames), FPS, seed=len(subject.scene.__name__))


def _exposed(trace: Trace, around: Callable[[float, int], np.ndarray], frame: int) -> np.ndarray:
    """A frame with the shutter open for half of its time."""
    light = np.zeros((SIZE, SIZE, 3))
    for part in SHUTTER:
        phase = 2 * math.pi * (frame + part) / FRAMES
        seen = trace(phase, SIZE, np.ones((SIZE, SIZE), bool), 1)
        light += seen[..., :3] + around(phase, SIZE) * (1 - seen[..., 3:])
    return np.clip(light / len(SHUTTER), 0, 1) ** (1 / 2.2)


def _averaged(fine: np.ndarray, samples: int) -> np.ndarray:
    """The means of `samples` x `samples` rays."""
    size = len(fine) // samples
    return fine.reshape(size, samples, size, samples, -1).mean((1, 3))


def clip(subject: Subject) -> tuple[np.ndarray, int]:
    """The frames [FRAMES, SIZE, SIZE, 3] uint8 of an example, and the encoder's CRF."""
    make = on_white if subject.floor is None else partial(on_a_table, floor=subject.floor)
    frames = (make(subject) * 255 + 0.5).astype(np.uint8)
    return frames, WHITE_CRF if subject.floor is None else FILM_CRF


def save_still(frame: np.ndarray, path: Path) -> None:
    """Writes a frame as a small WebP picture."""
    still = Image.fromarray(frame).resize((STILL, STILL), Image.Resampling.LANCZOS)
    still.save(path, quality=75, method=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "examples")
    parser.add_argument("--only", choices=SUBJECTS, nargs="+", help="make these alone")
    parser.add_argument("--sheet", type=Path, help="also write six frames of each as one picture")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in arguments.only or SUBJECTS:
        frames, crf = clip(SUBJECTS[name])
        path = arguments.out / f"{name}.mp4"
        imageio.mimwrite(path, list(frames), fps=FPS, codec="libx264", output_params=["-crf", str(crf)])
        save_still(frames[0], path.with_suffix(".webp"))
        rows.append(np.concatenate(list(frames[:: FRAMES // 6]), 1))
        print(f"{path}: {path.stat().st_size / 1024:.0f} kB")
    if arguments.sheet:
        sheet = Image.fromarray(np.concatenate(rows))
        sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.LANCZOS).save(arguments.sheet)


if __name__ == "__main__":
    main()
