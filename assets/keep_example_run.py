"""Makes a small copy of a finished run for the page: `python -m assets.keep_example_run runs/mug mug`.

The asset is stored in half precision, with indices of 16 bits. The clip's pictures, which the viewer only
shows small, keep 255 colours each, and what stage 1 and stage 2 left is not copied. A poster is drawn, so
that the page shows it at once.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from app.viewer.posters import KEPT
from ar4d.asset import ASSET_FILE
from ar4d.player.pictures import poster, webp
from ar4d.runs import Run

RUNS = Path(__file__).parent / "example_runs"
MAX_BYTES = 1_500_000


def _generalize(path: Path, name: str) -> None:
    """Replaces the clip's place on this machine by its place in the repository."""
    record = json.loads(path.read_text())
    record["recipe"]["source"] = f"assets/examples/{name}.mp4"
    path.write_text(json.dumps(record, indent=1))


def halve(source: Path, target: Path) -> None:
    """Copies an asset with numbers of half the size, which `load_asset` widens again."""
    narrower = {torch.float32: torch.float16, torch.int32: torch.int16}
    with safe_open(source, "pt") as file:
        meta = file.metadata()
        tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    small = {name: tensor.to(narrower.get(tensor.dtype, tensor.dtype)) for name, tensor in tensors.items()}
    save_file(small, target, metadata=meta)


def main() -> None:
    run, folder = Path(sys.argv[1]), RUNS / sys.argv[2]
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "input").mkdir(parents=True)
    for name in ("run.json", "metrics.json", "input/clip.json"):
        shutil.copyfile(run / name, folder / name)
    halve(run / ASSET_FILE, folder / ASSET_FILE)
    _generalize(folder / "run.json", sys.argv[2])
    for picture in sorted((run / "input").glob("*.png")):
        with Image.open(picture) as image:
            few = image.quantize(255, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.convert("RGBA").save(folder / "input" / picture.name, optimize=True)
    kept = Run.open(folder)
    still = poster(kept.asset().at(0.0), kept.record.recipe.settings.elevation_deg)
    (folder / KEPT).write_bytes(webp(still))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.2f} MB")
    if size > MAX_BYTES:
        sys.exit(f"{folder} has more than {MAX_BYTES / 1e6} MB; lift the clip with fewer frames.")


if __name__ == "__main__":
    main()
