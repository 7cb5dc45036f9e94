"""How well a few corrections cut a cat out of a busy room, against its exact masks; draws a picture.

python -m benchmarks.cutout_corrections --out docs/pictures
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from ar4d.clip import ClipSettings, Corrections
from ar4d.clip.framing import Crop
from ar4d.clip.loading import Loaded, finish, prepare
from benchmarks.support.animal import Footage, walking_cat

FRAMES, WIDTH, HEIGHT = 16, 480, 368
SIZE = 256
CASES = {
    "automatic": Corrections(),
    "one box": Corrections.from_options([], [], ["1:0.02,0.4,0.6,1"]),
    "a box and a drop click": Corrections.from_options([], ["16:0.93,0.75"], ["1:0.02,0.4,0.6,1"]),
    "a drop and a keep click": Corrections.from_options(["1:0.3,0.66"], ["1:0.86,0.7"], []),
}
SHOWN = (0, 5, 10, 15)  # frames in the picture


@dataclass(frozen=True)
class Options:
    out: Path = Path("docs/pictures")
    """Folder of the picture."""


def main(options: Options) -> None:
    footage = walking_cat(FRAMES, WIDTH, HEIGHT)
    rows = [np.concatenate([footage.pictures[k] for k in SHOWN], axis=1)]
    with tempfile.TemporaryDirectory() as folder:
        path = footage.write(Path(folder) / "cat.mp4")
        settings = ClipSettings(num_frames=FRAMES)
        started = time.perf_counter()
        prepared = prepare(path, settings)
        print(f"subject found without corrections in {time.perf_counter() - started:.1f} s")
        for name, corrections in CASES.items():
            started = time.perf_counter()
            loaded = finish(prepared, dataclasses.replace(settings, corrections=corrections), SIZE)
            seconds = time.perf_counter() - started
            masks = _in_source(loaded)
            overlap = _overlap(masks, footage)
            print(
                f"{name:24} IoU mean {overlap.mean():.3f}, worst {overlap.min():.3f}, "
                f"{loaded.clip.num_frames} frames, {seconds:.1f} s"
            )
            shown = footage.pictures * np.where(masks, 1.0, 0.15)[..., None]
            rows.append(np.concatenate([shown[k] for k in SHOWN], axis=1).astype(np.uint8))
    options.out.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.concatenate(rows, axis=0))
    picture.resize((picture.width // 2, picture.height // 2)).save(
        options.out / "corrections.webp", quality=80
    )


def _in_source(loaded: Loaded) -> np.ndarray:
    """The clip's masks in the source's pictures, [F, h, w] bool; none in frames that are not used."""
    masks = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
    for number, frame in zip(loaded.numbers, loaded.clip.frames, strict=True):
        masks[number - 1] = _placed(frame[..., 3], loaded.clip.crop)
    return masks


def _placed(alpha: np.ndarray, crop: Crop) -> np.ndarray:
    side = round(crop.side)
    square = np.asarray(Image.fromarray(alpha).resize((side, side))) > 127
    whole = np.zeros((HEIGHT + 2 * side, WIDTH + 2 * side), bool)
    top, left = round(crop.y) + side, round(crop.x) + side
    whole[top : top + side, left : left + side] = square
    return whole[side : side + HEIGHT, side : side + WIDTH]


def _overlap(masks: np.ndarray, footage: Footage) -> np.ndarray:
    """Intersection over union with the exact masks, in each frame."""
    truth = footage.subject
    return (masks & truth).sum((1, 2)) / (masks | truth).sum((1, 2))


if __name__ == "__main__":
    main(tyro.cli(Options))
