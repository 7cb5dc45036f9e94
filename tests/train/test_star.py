"""Training of the engine star's networks: windows, losses, and both commands on a handful of objects."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ar4d.errors import UserError
from ar4d.experts.star.codec import Codec
from ar4d.experts.star.config import CODECS, STARS
from ar4d.experts.star.history import context_of
from ar4d.experts.star.splats import OFFSET, STATIC, Splats, moved, static_splats
from ar4d.experts.star.weights import load_networks
from train.data.grid_batch import GridBatch
from train.grid import make_grids
from train.star import ablation, evaluate, export, train_codes, train_star
from train.star.hull import hull_depth
from train.star.losses import Critic, Weights, critic_terms, flow_term, picture_terms, ray_terms, rendered
from train.star.shards import stored_grids
from train.star.train_star import Corruption
from train.star.windows import WindowPool, Windows

SMALL = CODECS["test"]
SHARED = ["--procedural", "2", "--points", "1000", "--holdout", "1", "--device", "cpu", "--minutes", "60"]


def numbered_grid() -> GridBatch:
    """A grid whose alpha tells view and frame; its flow points to the right."""
    rgba = torch.zeros(1, 4, 6, 4, 8, 8)
    for view in range(4):
        for frame in range(6):
            rgba[0, view, frame, 3] = (10 * view + frame) / 100
    flow = torch.zeros(1, 4, 5, 2, 8, 8)
    flow[..., 0, :, :] = 2.0
    return GridBatch(rgba, torch.ones(1, 4, 6, 8, 8), flow, torch.arange(4) * 90.0, torch.zeros(1, 4))


def pool_of(photograph, reuse: int = 4) -> WindowPool:
    return WindowPool(photograph, 6, 8, reuse, torch.Generator().manual_seed(0))


def test_windows_begin_with_any_time_and_go_on_with_consecutive_ones():
    pool, mirrored, starts = pool_of(numbered_grid), 0, set()
    for _ in range(60):
        windows = pool.windows(1, 3)
        numbers = (windows.pictures[0, :, :, 3, 0, 0] * 100).round().long()
        views, frames = numbers // 10, numbers % 10
        assert (views == views[:, :1]).all()  # a row is one view
        assert (frames == frames[:1]).all()  # a column is one time
        order = [0, 1, 2, 3] if (views[1, 0] - views[0, 0]) % 4 == 1 else [0, 3, 2, 1]
        assert ((views[:, 0] - views[0, 0]) % 4).tolist() == order
        first, a, b = frames[0].tolist()
        assert b == a + 1
        assert windows.followed.tolist() == [a == first + 1, True]
        flipped = order != [0, 1, 2, 3]
        assert float(windows.flow[0, 0, 1, 0, 0, 0]) == (-2.0 if flipped else 2.0)
        mirrored += flipped
        starts.add(first)
    assert 15 < mirrored < 45
    assert starts == set(range(6))


def test_a_grid_is_used_as_often_as_wanted():
    made = []

    def photograph() -> GridBatch:
        made.append(1)
        return numbered_grid()

    pool = pool_of(photograph, reuse=5)
    for _ in range(40):
        pool.windows(1, 2)
    assert 8 <= len(made) <= 9


def blob_splats(offset: torch.Tensor | None = None) -> Splats:
    """One time, or two with an offset between them, of Gaussians at the origin's depth."""
    raw = torch.zeros(1, 4, 8, 8, STATIC)
    raw[:, 0, ..., 8], raw[:, 1:, ..., 8] = 4, -12  # only view 0's are opaque: they have one depth
    splats = static_splats(raw, SMALL16)
    if offset is None:
        return splats
    both = Splats(*(part.repeat_interleave(2, 0) for part in vars(splats).values()))
    return moved(both, torch.stack([torch.zeros_like(offset), offset]), SMALL16)


SMALL16 = CODECS["test"].__class__(size=16, stem=(8,), width=32, heads=2, splats=2, codebooks=2, entries=16)


def test_the_flow_of_a_shift_is_known():
    """Everything moves to the right of view 0 by 0.1 at depth 1.5: f · 0.1 / 1.5 pixels."""
    offset = torch.zeros(4, 8, 8, OFFSET)
    offset[0, ..., 0], offset[2, ..., 0] = 0.4, -0.4
    offset[1, ..., 2], offset[3, ..., 2] = -0.4, 0.4  # the same direction, seen from the sides
    splats = blob_splats(offset)
    pixels = 16 / 2 / torch.tan(torch.deg2rad(torch.tensor(49.1 / 2))) * 0.1 / 1.5
    pictures = torch.ones(1, 4, 2, 4, 16, 16)
    flow = torch.zeros(1, 4, 1, 2, 16, 16)
    windows = Windows(pictures, torch.ones(1, 4, 2, 16, 16), flow, torch.tensor([True]))
    still = float(flow_term(splats, windows, 0, SMALL16))
    assert still == pytest.approx(float(pixels) / 2, rel=0.03)  # two channels, one of them 0
    flow[:, :, :, 0] = pixels
    assert float(flow_term(splats, windows, 0, SMALL16)) < 0.03 * still
    windows = Windows(windows.pictures, windows.depth, flow, torch.tensor([False]))
    assert float(flow_term(splats, windows, 0, SMALL16)) == 0


def test_truth_costs_nothing_and_a_wrong_picture_does():
    splats = blob_splats()
    seen = rendered(splats, SMALL16)
    assert float(sum(picture_terms(seen, seen, Weights()).values())) == 0
    terms = picture_terms(seen, torch.zeros_like(seen), Weights(absolute=1, squared=0, alpha=1))
    assert float(terms["picture"]) == pytest.approx(float(seen[:, :, :3].mean()), rel=1e-5)
    assert float(terms["alpha"]) == pytest.approx(float(seen[:, :, 3].mean()), rel=1e-5)
    windows = Windows(
        torch.full((1, 4, 1, 4, 16, 16), 0.5),
        torch.full((1, 4, 1, 16, 16), 1.5),
        torch.zeros(0),
        torch.zeros(0),
    )
    deeper = Windows(windows.pictures, windows.depth + 0.2, windows.flow, windows.followed)
    near, far = (float(ray_terms(splats, w, True, SMALL16)[0]) for w in (windows, deeper))
    assert near == far  # half transparent pixels have no depth
    solid = torch.ones(1, 4, 1, 4, 16, 16)
    near, far = (
        float(ray_terms(splats, Windows(solid, w.depth, w.flow, w.followed), True, SMALL16)[0])
        for w in (windows, deeper)
    )
    assert far - near == pytest.approx(4 * 0.2, rel=1e-4)


def test_the_critics_gradient_and_the_pictures_do_not_mix():
    torch.manual_seed(0)
    critic, seen = Critic(8), torch.rand(2, 4, 16, 16, requires_grad=True)
    terms = critic_terms(critic, seen, torch.rand(2, 4, 16, 16), 0.5)
    terms["fooling"].backward(retain_graph=True)
    assert seen.grad is not None
    assert seen.grad.abs().sum() > 0
    assert all(p.grad is None for p in critic.parameters())
    seen.grad = None
    terms["critic"].backward()
    assert seen.grad is None
    assert all(p.grad is not None for p in critic.parameters())


def test_corruption_takes_near_codes_in_the_wanted_share():
    torch.manual_seed(0)
    codec = Codec(SMALL)
    codes = torch.randint(SMALL.entries, (1, 3, 4, SMALL.tokens, SMALL.codebooks))
    context = context_of(codes[:, :, 0], codes[:, :, 1:].flatten(2, 3), 2, SMALL, STARS["test"])
    corrupt = Corruption(codec, 0.3, torch.Generator().manual_seed(0))
    changed = torch.cat([(corrupt(context).codes != context.codes).flatten() for _ in range(30)])
    assert float(changed.float().mean()) == pytest.approx(0.3, abs=0.04)
    assert torch.equal(corrupt(context).given, context.given)
    near = codec.codebooks.nearest(8)
    for book in range(SMALL.codebooks):
        before, after = context.codes[..., book].flatten(), corrupt(context).codes[..., book].flatten()
        for a, b in zip(before.tolist(), after.tolist(), strict=True):
            assert a == b or b in near[book, a].tolist()


def test_both_networks_train_resume_and_become_a_weights_file(tmp_path: Path):
    codes, star, file = tmp_path / "codes", tmp_path / "star", tmp_path / "star.safetensors"
    options = [*SHARED, "--size", "test", "--out", str(codes)]
    train_codes.main([*options, "--examples", "2", "--latest-share", "1"])
    moving = [
        "--still-share",
        "0",
        "--latest-share",
        "0",
        "--mixing",
        "1",
        "--critic-share",
        "1",
        "--weights.critic",
        "0.05",
    ]
    train_codes.main([*options, *moving, "--examples", "4"])  # goes on
    lines = [json.loads(line) for line in (codes / "curve.jsonl").read_text().splitlines()]
    assert [line["seen"] for line in lines] == [2, 4]
    assert {"psnr", "iou", "motion", "used"} <= set(lines[1]["scores"])
    assert "flow" not in lines[0]["loss"]
    assert [line["scores"]["quantised"] for line in lines] == [0, 1]
    assert {"flow", "critic", "fooling"} <= set(lines[1]["loss"])
    assert (codes / "sheet.png").stat().st_size > 0
    checkpoint = str(codes / "last.pt")
    train_star.main([*SHARED, "--size", "test", "--codes", checkpoint, "--out", str(star), "--examples", "4"])
    (line,) = [json.loads(line) for line in (star / "curve.jsonl").read_text().splitlines()]
    assert line["scores"]["entropy"] == pytest.approx(math.log(SMALL.entries), rel=0.1)  # it has begun
    export.main(["--codes", checkpoint, "--star", str(star / "last.pt"), "--out", str(file)])
    assert load_networks(file).codec.config == CODECS["test"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """Two stored grids of 4 views and 3 times of 8 pixels, with guesses."""
    out = tmp_path_factory.mktemp("grids")
    arguments = ["--procedural", "2", "--count", "2", "--times", "3", "--size", "8", "--points", "1000"]
    make_grids.main([*arguments, "--out", str(out)])
    return out


def test_both_networks_train_on_stored_grids(stored, tmp_path: Path):
    codes, star, file = tmp_path / "codes", tmp_path / "star", tmp_path / "star.safetensors"
    options = ["--grids", str(stored), "--holdout-grids", str(stored), "--holdout", "1", "--size", "test"]
    options += ["--device", "cpu", "--minutes", "60"]
    bar = ["--bar", "0", "--mixing", "4", "--save-every", "0", "--still-share", "0"]
    train_codes.main([*options, *bar, "--out", str(codes), "--examples", "3"])
    lines = [json.loads(line) for line in (codes / "curve.jsonl").read_text().splitlines()]
    assert [line["scores"]["quantised"] for line in lines] == [0, 0.5, 0.75]  # the bar is passed at once
    assert lines[-1]["loss"]["flow"] == 0  # stored grids have none
    arguments = ["--codes", str(codes / "last.pt"), "--out", str(star), "--examples", "2", "--guess"]
    train_star.main([*options, *arguments])
    export.main(["--codes", str(codes / "last.pt"), "--star", str(star / "last.pt"), "--out", str(file)])
    config = load_networks(file).star.config
    assert config.guess
    assert (config.history_groups, config.furthest) == (2, 2)  # as far as three times go
    evaluate.main(["--weights", str(file), "--grids", str(stored), "--objects", "1", "--out", str(tmp_path)])
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["the guess itself"]["iou"] > 0.3
    assert {"true tokens", "guess's tokens", "STAR's tokens"} <= set(scores)


def test_stored_grids_and_their_guesses_vary_together(stored):
    (first, _), azimuths = stored_grids((stored,), (0.0, 90.0, 180.0, 270.0), 8, 4, guess=True), (0, 90)
    same = replace(first, guess=first.rgba)
    pool = WindowPool(None, 3, 1, 1, torch.Generator().manual_seed(0), [same])
    seen = set()
    for _ in range(20):
        pictures, guess = pool.sequences(1)
        assert guess is not None
        assert torch.equal(pictures, guess)
        seen.add(float(pictures[0, 1, 0, 0].sum()))
        assert not pool.windows(1, 2).followed.any()
    assert len(seen) > 3
    for wrong in ((stored,), (stored / "none",)):
        with pytest.raises(UserError, match=r"make_grids|--size 16"):
            stored_grids(wrong, azimuths, 16, 4)


def test_a_hulls_depth_is_that_of_a_box():
    """Silhouettes of a box at the origin: its sides face the cameras."""
    half, size = 0.3, 64
    focal, near = size / 2 / math.tan(math.radians(49.1 / 2)), 1.5 - half
    pixels = (torch.arange(size) + 0.5 - size / 2).abs()
    inside = pixels < focal * half / near
    alpha = (inside[:, None] & inside).float().expand(1, 4, size, size)
    depth = hull_depth(alpha, (0.0, 90.0, 180.0, 270.0), 32)
    assert float(depth[0, :, 0, 0].max()) == 0
    middle = depth[0, :, 24:40, 24:40]
    assert float((middle - near).abs().max()) < 0.06  # a step of the samples is 0.033


def test_star_learns_a_sequence_by_heart():
    torch.manual_seed(0)
    codec = Codec(SMALL)
    network = train_star.TrainedStar(codec, STARS["test"])
    codes = torch.randint(SMALL.entries, (1, 2, 4, SMALL.tokens, SMALL.codebooks))
    optimizer = torch.optim.Adam(network.parameters(), 2e-2)
    batch = train_star.group_batch(network.star, codes, 1)
    for _ in range(25):
        loss = network(batch)["entropy"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(network(batch)["entropy"].detach()) < 0.5 * math.log(SMALL.entries)


def test_the_ablation_writes_a_table_and_goes_on(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(ablation, "CODES", {"stop": {}, "no stop": {"stop": False}})
    monkeypatch.setattr(ablation, "HISTORIES", {"none": {"history": "none"}})
    arguments = [
        *SHARED,
        *["--size", "test", "--star-size", "test", "--examples", "2", "--out"],
        str(tmp_path),
    ]
    ablation.main(arguments)
    table = (tmp_path / "table.md").read_text()
    assert [line.split("|")[1].strip() for line in table.splitlines() if line] == [
        "4D VQ-VAE", "---", "stop", "no stop", "STAR", "---", "none",
    ]  # fmt: skip
    written = (tmp_path / "codes-stop-0" / "curve.jsonl").read_text()
    ablation.main(arguments)
    assert (tmp_path / "codes-stop-0" / "curve.jsonl").read_text() == written
