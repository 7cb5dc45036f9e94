"""Training data, training and export of the embedded expert, on a handful of procedural objects."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ar4d.cameras import RADIUS
from ar4d.experts.embedded.expert import WEIGHTS, load_networks
from ar4d.experts.embedded.facing import FacingNetwork, angle_between_deg
from ar4d.experts.embedded.network import IN_SIZE, OCCUPANCY_OFFSETS, OUT_SIZE, Network
from ar4d.scenes.mesh import Clip
from ar4d.scenes.mesh import Part as MeshPart
from train.data import render_shapes
from train.data.batch_rng import BatchRng
from train.data.device_constants import constant
from train.data.example_source import amortized
from train.data.examples import make_examples, ray_targets
from train.data.procedural.shapes import Part
from train.data.rendered_dataset import RenderedDataset
from train.data.samples import Samples
from train.data.warp import Warp, warp_clip
from train.embedded import export, train_facing, train_reconstruction


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    render_shapes.main(["--out", str(folder), "--samples", "7"])
    return folder


def test_samples_are_split_and_complete(data):
    training, validation = Samples((data,), validation=False), Samples((data,), validation=True)
    assert len(training) + len(validation) == 7
    assert len(validation) >= 1
    views, depth = training.views(0, 0)
    assert views.shape == (4, 4, IN_SIZE, IN_SIZE)
    for view in range(4):
        covered = views[view, 3] > 0.99
        assert 100 < covered.sum() < 0.8 * IN_SIZE**2
        assert (depth[view][covered] > 0).float().mean() > 0.99
        assert abs(float(depth[view][covered].mean()) - RADIUS) < 0.5
    assert (views[:, :3] <= views[:, 3:] + 1e-6).all()  # premultiplied
    assert not torch.equal(views, training.views(0, 1)[0])  # the next pose
    assert validation.test_views(0).max() > 0.5


def test_ray_targets_give_the_thickness_of_a_ball():
    """A ball of radius 0.4: through its centre there is matter for 0.8, and nothing behind."""
    ball = Part(np.zeros(3), np.eye(3), np.full(3, 0.4), np.full((2, 3), 0.5), np.zeros(3))
    shading = (np.array([0.0, 1, 0]), 0.7, 0.2)
    drawn = [render_shapes.draw([ball], azimuth, IN_SIZE, shading) for azimuth in (0.0, 90.0, 180.0, 270.0)]
    rgba = torch.from_numpy(np.stack([picture for picture, _ in drawn])).float() / 255
    views = torch.cat([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], -1).permute(0, 3, 1, 2)
    depth = torch.from_numpy(np.stack([far for _, far in drawn])).float()
    _, front, solid = (part[0] for part in ray_targets(views[None], depth[None]))
    middle = OUT_SIZE // 2
    assert front[middle, middle] == pytest.approx(RADIUS - 0.4, abs=0.01)
    for distance, there in zip(OCCUPANCY_OFFSETS, solid[:, middle, middle], strict=True):
        if abs(distance - 0.8) > 0.03:
            assert bool(there > 0.5) == (distance < 0.8)


def test_examples_fit_the_network(data):
    dataset = RenderedDataset(Samples((data,), validation=False), seed=0)
    made = make_examples(dataset.sample_views(12), torch.Generator().manual_seed(0))
    prediction = Network()(made.inputs)
    assert prediction.front_depth.shape == made.front_depth.shape
    assert prediction.occupancy_logits.shape == made.occupancy.shape
    assert set(made.occupancy.unique().tolist()) == {0.0, 1.0}
    assert (made.color_mask.sum(1) > 50).all()
    assert (made.color_points[made.color_mask > 0][:, :2].abs() < 1).all()
    assert 1 <= (made.inputs[:, -1].amax((1, 2)) > 0).sum() < 12  # some have a plane of symmetry
    again = make_examples(dataset.sample_views(12), torch.Generator().manual_seed(0))
    assert not torch.equal(made.inputs, again.inputs)


def test_samples_are_drawn_without_replacement(data):
    samples = Samples((data,), validation=False)
    dataset, count = RenderedDataset(samples, seed=0), len(samples)
    for _ in range(2):
        planes = dataset.sample_views(count).planes
        own = torch.stack(samples.planes)
        assert torch.equal(planes.sort(0).values, own.sort(0).values)


def test_training_resumes_and_is_exported(data, tmp_path, capsys):
    run = tmp_path / "run"
    command = ["--data", str(data), "--out", str(run), "--batch", "2"]
    train_reconstruction.main([*command, "--examples", "4"])
    first = json.loads((run / "curve.jsonl").read_text().splitlines()[-1])
    train_reconstruction.main([*command, "--examples", "16"])
    last = json.loads((run / "curve.jsonl").read_text().splitlines()[-1])
    assert (first["seen"], last["seen"]) == (4, 16)
    assert last["loss"]["occupancy"] < 1.4  # it starts at 2 ln 2 = 1.39
    assert 0 <= last["scores"]["iou"] <= 1
    assert (run / "curve.png").exists()
    assert (run / "sheet.png").exists()
    facing = tmp_path / "facing"
    train_facing.main(["--data", str(data), "--out", str(facing), "--batch", "2", "--examples", "6"])
    learned = json.loads((facing / "curve.jsonl").read_text().splitlines()[-1])
    assert learned["seen"] == 6
    assert 0 <= learned["scores"]["correct"] <= 1
    assert 0 <= learned["scores"]["median_deg"] <= 90
    assert (facing / "curve.png").exists()
    capsys.readouterr()
    out = tmp_path / "weights" / "expert.safetensors"
    checkpoints = ["--expert", str(run / "last.pt"), "--facing", str(facing / "last.pt")]
    export.main([*checkpoints, "--out", str(out)])
    sha256 = capsys.readouterr().out.strip()
    network, finder = load_networks(out, sha256)
    state = torch.load(run / "last.pt", weights_only=True)["average"]
    assert all(torch.equal(x, state[name].half().float()) for name, x in network.state_dict().items())
    blend = tmp_path / "blend"
    export.main([*checkpoints, "--out", str(blend), "--before", str(WEIGHTS), "--keep", "0.5"])
    half, earlier = load_file(blend), load_file(WEIGHTS)
    name = "facing.head.5.weight"
    both = load_file(out)[name].float() + earlier[name].float()
    torch.testing.assert_close(2 * half[name].float(), both, atol=1e-3, rtol=2e-3)
    assert torch.equal(half["network.head.weight"], load_file(out)["network.head.weight"])
    started = networks_starting_from(out)
    for mine, theirs in zip((network, finder), started, strict=True):
        assert all(torch.equal(x, theirs.state_dict()[name]) for name, x in mine.state_dict().items())


def networks_starting_from(weights: Path) -> tuple[Network, FacingNetwork]:
    """The networks of runs that start from a file of weights."""
    network, facing = Network(), FacingNetwork()
    train_reconstruction.load_initial_weights(network, load_file(weights))
    train_facing.load_initial_weights(facing, load_file(weights))
    return network, facing


def test_augmentation_changes_planes_only_by_the_mirror(data):
    """Stretches, blurs and holes leave the azimuths of planes alone."""
    samples = Samples((data,), validation=False)
    pictures = RenderedDataset(samples, seed=0).sample_crops(len(samples))
    assert 0 < len(pictures.planes) < 4 * len(samples)  # a plant has no plane
    assert len(pictures.planes) % 4 == 0
    augmented = train_facing.augment(pictures, torch.Generator().manual_seed(0))
    assert augmented.pictures.shape == (len(augmented.planes), 4, IN_SIZE, IN_SIZE)
    torch.testing.assert_close(augmented.planes[:, :2].norm(dim=1), torch.ones(len(augmented.planes)))
    mirror = torch.tensor([1.0, -1, -1, 1])
    own, mirrored = (angle_between_deg(augmented.planes, pictures.planes * way) for way in (1, mirror))
    assert torch.minimum(own, mirrored).max() < 8  # a missing part moves the crop
    assert 0 < (mirrored < own).sum() < len(own)


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.mark.parametrize(("launcher", "own"), [((), ("--processes", "2")), (TORCHRUN, ())])
def test_two_processes_train_one_network(data, tmp_path, launcher, own):
    run = tmp_path / "run"
    command = [sys.executable, *launcher, "-m", "train.embedded.train_reconstruction"]
    command += ["--data", str(data), "--out", str(run), "--device", "cpu", "--batch", "2", *own, "--examples"]
    for count in (4, 12):
        done = subprocess.run([*command, str(count)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    seen = [json.loads(line)["seen"] for line in (run / "curve.jsonl").read_text().splitlines()]
    assert seen == [4, 12]
    state = torch.load(run / "last.pt", weights_only=True)
    assert state["steps"] == 3
    assert json.loads((run / "options.json").read_text())["processes"] == 2


def test_a_warp_is_the_same_for_all_frames_and_parts_and_nearly_symmetric():
    random = np.random.default_rng(0)
    half = random.uniform(-1, 1, (2, 20, 3)).astype(np.float32)
    both = np.concatenate([half, half * np.array([-1, 1, 1], np.float32)], axis=1)
    both[1] = both[0]
    faces = np.arange(39).reshape(-1, 3).astype(np.int32)
    faces = np.concatenate([faces, [[37, 38, 39]]]).astype(np.int32)
    part = MeshPart(both, faces, np.zeros((40, 2), np.float32))
    clip = Clip((part, part))
    changed = 0
    for seed in range(12):
        one, other = warp_clip(clip, np.random.default_rng(seed)).parts
        assert np.array_equal(one.vertices, other.vertices)
        assert np.array_equal(one.vertices[0], one.vertices[1])
        assert np.isfinite(one.vertices).all()
        left, right = one.vertices[0, :20], one.vertices[0, 20:]
        assert np.allclose(left[:, 1:], right[:, 1:], atol=1e-5)
        bend = left[:, 0] + right[:, 0]  # twice the shift of the middle plane, a function of z
        order = np.argsort(half[0, :, 2])
        assert (np.diff(bend[order]) * np.sign(bend[order][-1] - bend[order][0] + 1e-9) > -1e-4).all()
        changed += not np.allclose(one.vertices, part.vertices, atol=1e-6)
    assert 6 <= changed < 12


def test_a_warped_animal_stands_on_all_its_feet():
    count = 50
    generator = torch.Generator().manual_seed(0)
    body = torch.rand(count, 30, 3, generator=generator) * torch.tensor([0.4, 1, 2])
    body[..., 1] += 3
    feet = torch.tensor([[x, 3.0, z] for x in (-0.3, 0.3) for z in (-1.0, 0, 1)]).expand(count, -1, -1)
    warp = Warp.random(torch.cat([body, feet], 1), torch.ones(count), BatchRng(count, body.device, generator))
    torch.testing.assert_close(warp(feet)[..., 1], feet[..., 1])
    assert (warp(feet) - feet).abs().amax((1, 2)).gt(0.01).sum() > 25
    assert (warp(body)[..., 1] >= 3).all()


def test_a_warp_does_not_fold():
    """Points on an upright line keep their order, and their distances change less than 2.5 times."""
    count, tall = 200, torch.linspace(0, 2, 41)
    body = torch.stack([torch.zeros(41), tall, torch.zeros(41)], 1).expand(count, -1, -1)
    generator = torch.Generator().manual_seed(0)
    warp = Warp.random(body, torch.full((count,), 1.6), BatchRng(count, body.device, generator))
    steps = warp(body)[..., 1].diff(dim=1) / (warp(body)[:, -1:, 1] / 40)  # divided by their mean
    assert steps.min() > 0.4
    assert steps.max() < 2.5
    assert (steps.amax(1) > 1.2).sum() > 20


def test_amortized_batches_are_returned_one_by_one(data):
    dataset = RenderedDataset(Samples((data,), validation=False), seed=0)
    made = make_examples(dataset.sample_views(6), torch.Generator().manual_seed(0))
    calls: list[int] = []

    def make():
        calls.append(1)
        return made.split(2)

    take = amortized(make)
    taken = [take() for _ in range(4)]
    assert len(calls) == 2
    for name in ("inputs", "front_depth", "color_points", "color_mask"):
        whole = torch.cat([getattr(part, name) for part in reversed(taken[:3])])
        assert torch.equal(whole, getattr(made, name))
    assert torch.equal(taken[3].inputs, taken[0].inputs)


def test_compiling_on_a_cpu_is_refused(data, tmp_path):
    command = ["--data", str(data), "--out", str(tmp_path / "run"), "--device", "cpu", "--compiled"]
    with pytest.raises(SystemExit, match="needs a GPU"):
        train_facing.main(command)


def test_constants_are_cached():
    cpu = torch.device("cpu")
    assert constant((1.0, 2.0), cpu) is constant((1.0, 2.0), cpu)
    assert constant(((0, 1), (1, 0)), cpu).tolist() == [[0, 1], [1, 0]]
