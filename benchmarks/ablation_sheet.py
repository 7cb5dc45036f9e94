"""Arranges an object's last frame in several variants of a benchmark on one sheet.

    python -m benchmarks.ablation_sheet BENCH --objects lion chicken --out ablation.webp

BENCH is the folder of `ar4d bench run`. Rows: the truth, then the variants. Columns: the clip's own view,
then others around the object.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from PIL import Image, ImageDraw, ImageFont

from ar4d.bench.pictures import CELL
from ar4d.bench.results import Pair
from ar4d.bench.variants import ABLATIONS, FULL
from ar4d.errors import UserError

GUTTER = 130
"""Pixels left of the rows, for their names."""
INK, PAPER = (60, 60, 60), (255, 255, 255)


@dataclass(frozen=True)
class Options:
    """Draw the sheet."""

    bench: Annotated[Path, tyro.conf.Positional]
    """Folder of `ar4d bench run`."""
    objects: tuple[str, ...]
    """Names of the objects, one below the other."""
    out: Path
    """The picture."""
    variants: tuple[str, ...] = (FULL, *ABLATIONS)
    """Rows under the truth."""
    seed: int = 0
    """Which seed's pictures to show."""


def main(argv: Sequence[str]) -> None:
    """Draw the sheet of all objects."""
    options = tyro.cli(Options, prog="python -m benchmarks.ablation_sheet", args=argv)
    rows: list[tuple[str, Image.Image]] = []
    for name in options.objects:
        for variant in options.variants:
            picture = last_frame(Pair(variant, name, options.seed).path(options.bench).with_suffix(".webp"))
            width = picture.width
            if variant == options.variants[0]:
                rows.append((f"{name}: truth", picture.crop((0, 0, width, CELL))))
            rows.append((variant, picture.crop((0, CELL, width, 2 * CELL))))
    sheet(rows).save(options.out, quality=80)


def last_frame(path: Path) -> Image.Image:
    """The last frame of a moving picture.

    Raises:
        UserError: it has not been made.
    """
    if not path.exists():
        raise UserError(f"{path} is missing; measure this variant of the object with `ar4d bench run` first.")
    with Image.open(path) as file:
        file.seek(getattr(file, "n_frames", 1) - 1)
        return file.convert("RGB")


def sheet(rows: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Rows of pictures with their names to the left."""
    width = max(picture.width for _, picture in rows)
    page = Image.new("RGB", (GUTTER + width, CELL * len(rows)), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for row, (name, picture) in enumerate(rows):
        page.paste(picture, (GUTTER, row * CELL))
        draw.text((6, row * CELL + CELL // 2), name, INK, font, anchor="lm")
    return page


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"ablation_sheet: {error}")
