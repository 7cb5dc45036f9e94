"""The sheet of an ablation, from moving pictures as a benchmark writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ar4d.bench.pictures import CELL
from ar4d.bench.results import Pair
from ar4d.errors import UserError
from benchmarks import ablation_sheet

GREYS = {"full": 60, "no-refinement": 180}


def turntable(path: Path, grey: int) -> None:
    """Two frames of two views: a white truth above, grey below; the first frame is black."""
    last = np.full((2 * CELL, 2 * CELL, 3), 255, np.uint8)
    last[CELL:] = grey
    path.parent.mkdir(parents=True)
    first, second = Image.new("RGB", (2 * CELL, 2 * CELL)), Image.fromarray(last)
    first.save(path, "WEBP", save_all=True, append_images=[second], duration=100, lossless=True)


def test_rows_are_the_truth_and_the_variants_last_frames(tmp_path: Path) -> None:
    for variant, grey in GREYS.items():
        turntable(Pair(variant, "lion", 0).path(tmp_path).with_suffix(".webp"), grey)
    out = tmp_path / "sheet.png"
    ablation_sheet.main([str(tmp_path), "--objects", "lion", "--out", str(out), "--variants", *GREYS])
    with Image.open(out) as file:
        sheet = np.asarray(file.convert("RGB"))
    assert sheet.shape == (3 * CELL, ablation_sheet.GUTTER + 2 * CELL, 3)
    middles = [sheet[row * CELL + CELL // 2, -CELL, 0] for row in range(3)]
    assert [int(value) for value in middles] == pytest.approx([255, 60, 180], abs=2)


def test_a_variant_that_was_not_measured_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"full.*is missing"):
        ablation_sheet.main([str(tmp_path), "--objects", "lion", "--out", str(tmp_path / "sheet.png")])
