"""The bundled weights on objects that no training has shown."""

from pathlib import Path

import pytest
import torch

from ar4d.experts.grid import GridExpert, checkpoint
from ar4d.experts.grid.conditions import from_network
from train.grid import make_grids
from train.grid.dataset import GridShards
from train.grid.measure import sampled, score

pytestmark = pytest.mark.slow
OBJECTS = 4


def test_they_are_small_and_found(monkeypatch):
    monkeypatch.delenv(checkpoint.VARIABLE, raising=False)
    assert checkpoint.find_weights() == checkpoint.BUNDLED
    assert checkpoint.BUNDLED.stat().st_size < 40 * 2**20
    assert GridExpert.available(torch.device("cpu")) is None


def test_their_mean_is_closer_to_the_truth_than_the_guess(tmp_path: Path):
    asked = ["--procedural", "6", "--count", str(OBJECTS), "--times", "2", "--holdout", "--seed", "3"]
    make_grids.main([*asked, "--out", str(tmp_path)])
    network, _ = checkpoint.load(checkpoint.BUNDLED)
    batch, rows = sampled(network, GridShards((tmp_path,)), "refine", 2)
    truth = from_network(batch.clean)
    found, given = (score(rows[name], truth, "refine") for name in ("one", "given"))
    assert found["psnr"] > given["psnr"] + 0.2
    assert found["motion"] > given["motion"] + 0.2
