"""Training data, training, export and ablation of the grid expert, on toy sizes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG
from ar4d.errors import UserError
from ar4d.evaluation import lpips
from ar4d.experts.grid import checkpoint
from ar4d.experts.grid.conditions import GUESSED, KNOWN, from_network
from ar4d.experts.grid.config import CONFIGS, GridConfig
from train.grid import ablation, evaluate, export, make_grids, train_grid
from train.grid.dataset import GridDataset, GridShards, Shares, examples, mirrored
from train.grid.measure import score
from train.grid.residual import residual_psnr

TOY = GridConfig(times=2, height=16, width=16, channels=16, blocks=1, heads=2, stem=(4, 4, 8))


@pytest.fixture(autouse=True)
def toy_size(monkeypatch):
    monkeypatch.setitem(CONFIGS, "toy", TOY)
    monkeypatch.delenv(lpips.VARIABLE, raising=False)  # its network is too deep for pictures of 16 pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two grids of 4 views and 3 times, with guesses."""
    out = tmp_path_factory.mktemp("grids")
    arguments = ["--procedural", "2", "--count", "2", "--times", "3", "--size", "16", "--points", "1500"]
    make_grids.main([*arguments, "--out", str(out)])
    return out


def test_grids_are_made_once_with_their_guesses(folder, capsys):
    shards = GridShards((folder,))
    assert shards.truth.shape == shards.guess.shape == (2, 4, 3, 16, 16, 4)
    assert torch.equal(shards.truth[:, 0], shards.guess[:, 0])  # view 0 is the clip
    assert not torch.equal(shards.truth[:, 1:], shards.guess[:, 1:])
    truth, guess = (x[:, 1:, ..., 3].float() for x in (shards.truth, shards.guess))
    assert torch.minimum(truth, guess).sum() > 0.5 * truth.sum()  # and yet it is of the same objects
    capsys.readouterr()
    make_grids.main(["--procedural", "2", "--count", "2", "--out", str(folder)])
    assert capsys.readouterr().out == ""
    small = GridShards((folder,), size=8).truth
    assert small.shape == (2, 4, 3, 8, 8, 4)
    assert float(small.float().mean()) == pytest.approx(float(shards.truth.float().mean()), abs=0.5)
    with pytest.raises(UserError, match="16 pixels and the network 64; make others with --size 64"):
        GridShards((folder,), size=64)
    with pytest.raises(UserError, match="make_grids"):
        GridShards((folder / "none",))


def test_conditions_show_what_they_promise(folder):
    shards = GridShards((folder,))
    truth, guess = shards.pictures(torch.arange(2), torch.arange(2))
    seen = {name: examples(truth, guess, name, 0, None) for name in ("refine", "column", "transfer")}
    for name, batch in seen.items():
        assert (batch.flags[:, 0, :, KNOWN] == 1).all()
        torch.testing.assert_close(from_network(batch.given)[:, 0], truth[:, 0], atol=1e-5, rtol=0)
        assert (batch.flags.sum(-1) <= 1).all()
        first = batch.flags[:, 1:, 0, KNOWN if name == "transfer" else GUESSED]
        assert (first == 1).all()
    torch.testing.assert_close(from_network(seen["refine"].given)[:, 1:], guess[:, 1:], atol=1e-5, rtol=0)
    assert not seen["column"].given[:, 1:, 1].any()
    transfer = from_network(seen["transfer"].given)
    torch.testing.assert_close(transfer[:, 1:, 1], truth[:, 1:, 0], atol=1e-5, rtol=0)
    known = examples(truth, guess, "refine", 1, None)
    torch.testing.assert_close(known.given[:, :, 0], known.clean[:, :, 0])
    assert (known.flags[:, :, 0, KNOWN] == 1).all()


def test_the_mirror_image_exchanges_the_sides(folder):
    truth, _ = GridShards((folder,)).pictures(torch.arange(2), torch.arange(1))
    flipped = mirrored(truth, torch.tensor([True, False]))
    assert torch.equal(flipped[1], truth[1])
    for view, other in enumerate((0, 3, 2, 1)):
        assert ORTHOGONAL_AZIMUTHS_DEG[other] == (-ORTHOGONAL_AZIMUTHS_DEG[view]) % 360
        assert torch.equal(flipped[0, view], truth[0, other].flip(-1))


def test_batches_show_all_conditions_and_frozen_moments(folder):
    dataset = GridDataset(GridShards((folder,)), TOY, Shares(), 0.2, 0)
    batches = [dataset.draw(3) for _ in range(60)]
    assert {batch.clean.shape[2] for batch in batches} == {1, 2}
    kinds = {(bool(b.flags[0, 1, 0, KNOWN]), bool(b.flags[0, 1, -1, GUESSED])) for b in batches}
    assert len(kinds) >= 3
    assert all(float(batch.given.abs().max()) <= 1.001 for batch in batches)


def test_a_run_is_resumed_and_exported(folder, tmp_path):
    def run(minutes: float, examples: int) -> None:
        data = ["--grids", str(folder), "--holdout", str(folder), "--out", str(tmp_path / "run")]
        length = ["--minutes", str(minutes), "--examples", str(examples), "--warm-up", "1"]
        train_grid.main([*data, *length, "--size", "toy", "--batch", "2", "--steps", "2"])

    run(5, 4)
    first = torch.load(tmp_path / "run/last.pt", weights_only=True)
    run(5, 8)
    second = torch.load(tmp_path / "run/last.pt", weights_only=True)
    assert (first["seen"], second["seen"]) == (4, 8)
    assert second["elapsed"] > first["elapsed"]
    scores = json.loads((tmp_path / "run/curve.jsonl").read_text().splitlines()[-1])["scores"]
    wanted = {"refine_one_iou", "refine_steep_psnr", "refine_sampled_motion", "transfer_given_moved"}
    assert wanted <= set(scores)
    assert (tmp_path / "run/sheet_refine.png").exists()
    weights = tmp_path / "grid.safetensors"
    options = ["--size", "toy", "--steps", "1", "--decided"]
    export.main(["--run", str(tmp_path / "run/last.pt"), "--out", str(weights), *options])
    network, sampling = checkpoint.load(weights)
    assert (sampling.steps, sampling.decided) == (1, True)
    place = second["average"]["place"]
    torch.testing.assert_close(network.place, place, atol=1e-3, rtol=1e-3)


def test_scores_of_the_truth_and_of_a_shifted_grid(folder):
    truth, guess = GridShards((folder,)).pictures(torch.arange(2), torch.arange(3))
    perfect, shifted = score(truth, truth, "transfer"), score(truth.roll(3, -1), truth, "transfer")
    assert perfect["psnr"] == 100
    assert perfect["iou"] == perfect["sharpness"] == 1
    assert shifted["psnr"] < 40
    assert shifted["iou"] < 1
    assert shifted["moved"] < perfect["moved"]
    assert shifted["sharpness"] == pytest.approx(1, abs=0.1)
    frozen = truth[:, :, :1].expand_as(truth)
    assert score(frozen, truth, "transfer")["motion"] < perfect["motion"]
    assert "moved" not in score(guess, truth, "refine")


def test_views_that_contradict_one_another_leave_a_residual():
    """A ball seen alike from all sides, against views that show different discs."""
    line = (torch.arange(24) + 0.5) / 12 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    discs = [(8 * (r - (x**2 + y**2).sqrt()) * 4).sigmoid() for r in (0.6, 0.25)]
    large, small = (torch.stack([0.3 * a, 0.5 * a, 0.2 * a, a]) for a in discs)
    ball, odd, azimuths = [large] * 4, [large, small] * 2, ORTHOGONAL_AZIMUTHS_DEG
    contradictory = [torch.roll(view, 5 * k, 1) for k, view in enumerate(odd)]
    alike, unlike = (residual_psnr(torch.stack(x), azimuths, 200, 25) for x in (ball, contradictory))
    assert alike > unlike + 1


def test_the_ablation_makes_a_table_of_all_ways(folder, tmp_path, capsys):
    arguments = ["--grids", str(folder), "--holdout", str(folder), "--out", str(tmp_path), "--size", "toy",
                 "--examples", "2", "--batch", "2", "--steps", "1", "--seeds", "0", "1"]  # fmt: skip
    ablation.main(arguments)
    lines = (tmp_path / "table.md").read_text().splitlines()
    for sync in ("soft", "hard", "none", "sequential", "fused"):
        assert sum(line.startswith(f"| {sync} |") for line in lines) == 4
    assert all("±" in line for line in lines if line.startswith("| soft"))
    capsys.readouterr()
    ablation.main(arguments)  # nothing is trained again
    assert "velocity" not in capsys.readouterr().out


def test_a_network_is_measured_beside_its_guess(folder, tmp_path, capsys):
    torch.manual_seed(0)
    network = train_grid.GridNetwork(TOY)
    checkpoint.save(network, checkpoint.Sampling(), tmp_path / "grid.safetensors")
    evaluate.main(
        ["--holdout", str(folder), "--weights", str(tmp_path / "grid.safetensors"), "--steps", "2",
         "--sheets", str(tmp_path)]
    )  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    cells = [line.removeprefix("| ").split(" | ") for line in lines if line.startswith("| ")]
    rows = {first: others for first, *others in cells}
    assert rows["given"] == rows["one"]  # an untrained network draws what it is given
    assert (tmp_path / "grid_refine.png").exists()


def test_augmentation_leaves_alpha_alone(folder):
    shards = GridShards((folder,))
    batch = GridDataset(shards, replace(TOY, times=3), Shares(1.0, 0.0, 0.0), 0.0, 3).draw(4)
    assert batch.clean.shape[2] == 3  # with this seed no frozen moment
    drawn = from_network(batch.clean)[:, :, :, 3].mean((1, 2, 3, 4))
    stored = (shards.truth[..., 3].float() / 255).mean((1, 2, 3, 4))
    assert (drawn[:, None] - stored).abs().amin(1).max() < 1e-4
