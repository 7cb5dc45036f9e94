"""Arranges the pictures of benchmarks/bench4d.py on one sheet per object, for judging by eye.

    python -m benchmarks.contact_sheet --views DIR

Rows: the ground truth, then the variants. Columns: two times, and the same cameras at each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from PIL import Image, ImageDraw, ImageFont

from ar4d.errors import UserError

MARGIN = 22
"""Pixels above the columns, for their names."""
GUTTER = 150
"""Pixels left of the rows, for their names."""
INK, PAPER = (60, 60, 60), (255, 255, 255)


@dataclass(frozen=True)
class Options:
    """Draw a sheet per object from the pictures of a benchmark."""

    views: Path
    """Folder with the ground truth, as for the benchmark."""
    renders: Path = Path("runs/bench4d")
    """Folder with the benchmark's pictures."""
    out: Path = Path("runs/bench4d-sheets")
    """Folder for the sheets."""
    cameras: tuple[str, ...] = ("az+000", "az+015", "az+090", "az+180", "az-075")
    """Names of the views to show."""
    variants: tuple[str, ...] = ()
    """Rows under the ground truth; by default all rendered variants except the empty picture."""
    cell: int = 160
    """Width and height of a picture on the sheet."""


def main(argv: Sequence[str]) -> None:
    """Draw the sheets of all rendered objects."""
    options = tyro.cli(Options, prog="python -m benchmarks.contact_sheet", args=argv)
    objects = sorted(path for path in options.renders.glob("*") if path.is_dir())
    if not objects:
        raise UserError(
            f"{options.renders} holds no pictures: run benchmarks.bench4d first, or set --renders."
        )
    options.out.mkdir(parents=True, exist_ok=True)
    for folder in objects:
        path = options.out / f"{folder.name}.png"
        sheet(folder, options).save(path)
        print(path)


def sheet(folder: Path, options: Options) -> Image.Image:
    """The sheet of one object.

    Args:
        folder: of its pictures, `<variant>/<camera>/<frame>.png`.
        options: cameras, variants and the size of a cell.
    """
    rows = {"truth": options.views / folder.name / "views"}
    rows |= {variant: folder / variant for variant in options.variants or _variants(folder)}
    last = folder / list(rows)[-1]
    frames = sorted(path.name for path in (last / options.cameras[0]).glob("*.png"))
    if not frames:
        raise UserError(f"{last} has no pictures of the view {options.cameras[0]}; set --cameras.")
    columns = [(camera, frame) for frame in frames for camera in options.cameras]
    size = (GUTTER + len(columns) * options.cell, MARGIN + len(rows) * options.cell)
    image = Image.new("RGB", size, PAPER)
    _label(image, (8, 4), folder.name)
    for i, (camera, frame) in enumerate(columns):
        _label(image, (GUTTER + i * options.cell + 4, 4), f"{camera}  frame {int(Path(frame).stem)}")
    for j, (variant, pictures) in enumerate(rows.items()):
        _label(image, (8, MARGIN + j * options.cell + options.cell // 2), variant)
        _fill_row(image, MARGIN + j * options.cell, [pictures / c / f for c, f in columns], options.cell)
    return image


def _variants(folder: Path) -> list[str]:
    """The rendered variants, oldest first."""
    made = [path for path in folder.iterdir() if path.is_dir() and path.name not in ("truth", "white")]
    return [path.name for path in sorted(made, key=lambda path: path.stat().st_mtime)]


def _fill_row(image: Image.Image, top: int, paths: Sequence[Path], cell: int) -> None:
    for i, path in enumerate(paths):
        if not path.exists():
            raise UserError(f"{path} is missing; run benchmarks.bench4d again for this variant.")
        with Image.open(path) as picture:
            rgba = picture.convert("RGBA")
        rgba = rgba.resize(
            (cell, cell), Image.Resampling.BOX if cell < rgba.width else Image.Resampling.BICUBIC
        )
        image.paste(rgba, (GUTTER + i * cell, top), rgba)  # its own alpha as the mask: composites on white


def _label(image: Image.Image, place: tuple[int, int], text: str) -> None:
    ImageDraw.Draw(image).text(place, text, INK, ImageFont.load_default(size=13))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"contact_sheet: {error}")
