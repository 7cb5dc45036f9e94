"""The faults of spoiled views, and the table."""

import math

import numpy as np
import pytest
import torch

from benchmarks import multiview

SIZE = 128


def square() -> torch.Tensor:
    """[2, S, S, 4]: a grey square with a sharp edge."""
    rgba = torch.zeros(2, SIZE, SIZE, 4)
    rgba[:, 40:88, 40:88] = torch.tensor([0.5, 0.5, 0.5, 1.0])
    return rgba


@pytest.mark.parametrize("seed", range(4))
def test_spoiled_views_are_turned_blurred_and_tinted_alike_in_all_frames(seed):
    made = multiview.spoiled(square(), np.random.default_rng(seed))
    assert torch.equal(made[0], made[1])
    alpha = made[0, ..., 3]
    middle = float((alpha.sum(0) * (torch.arange(SIZE) + 0.5)).sum() / alpha.sum())
    assert abs(middle - 64) == pytest.approx(math.radians(3) * 0.5 * SIZE / 1.37, abs=0.05)
    edge = int(((alpha[64] > 0.02) & (alpha[64] < 0.98)).sum())
    assert 2 <= edge <= 14  # sharp before
    color = made[0, 64, 64, :3]
    assert bool((color != 0.5).all())
    assert bool(((color / 0.5 - 1).abs() <= 0.05 + 1e-6).all())


def test_the_table_has_a_row_per_variant_and_the_spread_over_seeds():
    values = dict.fromkeys(multiview.COLUMNS, 0.5)
    finished = {
        f"{name}/{variant}/{seed}": {**values, "psnr": 20.0 + seed, "reference": 35.0, "seconds": 10.0}
        for name in ("ant", "bee")
        for variant in ("full", "no-static")
        for seed in (0, 2)
    }
    header, *rows = multiview.rows_of(finished)
    assert [row[0] for row in rows] == ["full", "no-static"]
    first = dict(zip(header, rows[0], strict=True))
    assert (first["lifts"], first["psnr"], first["± over seeds"]) == ("4", "21.00", "1.00")
