"""The surface of a ball is a ball, it turns with the ball, and the GLB says so."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from ar4d.errors import UserError
from ar4d.formats import GlbOptions, export
from ar4d.formats.mesh.motion import Attachment
from ar4d.formats.mesh.surface import extract
from ar4d.gaussians import Gaussians, concatenate
from tests.support.moving import RADIUS, SpinningBall

DTYPES = {5126: "<f4", 5123: "<u2", 5125: "<u4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


class Glb:
    """A minimal reader."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", content)
        assert (magic, version, length) == (b"glTF", 2, len(content))
        size, kind = struct.unpack_from("<I4s", content, 12)
        assert kind == b"JSON"
        assert size % 4 == 0
        self.json = json.loads(content[20 : 20 + size])
        size_of_rest, kind = struct.unpack_from("<I4s", content, 20 + size)
        assert kind == b"BIN\0"
        self.binary = content[28 + size :]
        assert len(self.binary) == size_of_rest == self.json["buffers"][0]["byteLength"]
        self.primitive = self.json["meshes"][0]["primitives"][0]

    def array(self, accessor: int) -> np.ndarray:
        meta = self.json["accessors"][accessor]
        view = self.json["bufferViews"][meta["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        width = WIDTHS[meta["type"]]
        dtype = np.dtype(DTYPES[meta["componentType"]])
        assert view["byteLength"] == meta["count"] * width * dtype.itemsize
        values = np.frombuffer(self.binary, dtype, meta["count"] * width, view["byteOffset"])
        return values.reshape(-1, width) if width > 1 else values


@pytest.fixture(scope="module")
def ball():
    return extract(SpinningBall().at(0.0), 48)


def test_surface_of_a_ball(ball):
    mesh = trimesh.Trimesh(ball.vertices, ball.faces, process=False)
    assert mesh.is_watertight
    assert mesh.euler_number == 2  # one piece without holes: the hollow inside is filled
    distances = np.linalg.norm(ball.vertices, axis=1)
    assert distances.min() > RADIUS
    assert distances.max() < RADIUS + 0.06
    assert mesh.volume > 4 / 3 * np.pi * RADIUS**3  # positive: faces look outward
    above, below = ball.vertices[:, 1] > 0.1, ball.vertices[:, 1] < -0.1
    np.testing.assert_allclose(ball.colors[above].mean(0), [0.825, 0.125, 0.125], atol=0.01)
    np.testing.assert_allclose(ball.colors[below].mean(0), [0.125, 0.725, 0.225], atol=0.01)


def test_holes_in_the_shell_and_strays_do_no_harm():
    g = SpinningBall(count=1500).at(0.0)
    hole = (g.means - torch.tensor([0.0, 0.0, RADIUS])).norm(dim=1) < 0.04
    shell = g.select(~hole)
    stray = Gaussians(
        torch.tensor([[0.9, 0.9, 0.9]]), torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), 0.02),
        torch.ones(1), torch.ones(1, 3),
    )  # fmt: skip
    surface = extract(concatenate([shell, stray]), 48)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    assert mesh.body_count == 1
    assert np.abs(surface.vertices).max() < RADIUS + 0.06
    assert mesh.volume > 0.95 * 4 / 3 * np.pi * RADIUS**3  # not the two skins of a leaking shell


def test_a_veil_has_a_surface_but_nothing_has_none():
    g = SpinningBall().at(0.0)
    veil = extract(Gaussians(g.means, g.quats, g.scales, g.opacities * 0 + 0.1, g.colors), 32)
    assert trimesh.Trimesh(veil.vertices, veil.faces, process=False).is_watertight
    with pytest.raises(UserError, match="too faint"):
        extract(Gaussians(g.means, g.quats, g.scales, g.opacities * 0 + 0.01, g.colors), 32)


def test_points_ride_on_the_gaussians(ball):
    asset = SpinningBall()
    attachment = Attachment(ball.vertices, asset.at(0.0))
    np.testing.assert_allclose(attachment.follow(asset.at(0.0)), ball.vertices, atol=1e-6)
    half_turn = ball.vertices * [-1, 1, -1] + [0, 0.2, 0]
    np.testing.assert_allclose(attachment.follow(asset.at(1.0)), half_turn, atol=2e-3)


def test_riding_ignores_quaternions():
    asset = SpinningBall()
    points = np.array([[0.0, 0.0, 0.45], [0.3, 0.3, 0.1]])
    end = asset.at(1.0)
    scrambled = Gaussians(end.means, end.quats.roll(1, 1), end.scales, end.opacities, end.colors)
    attachment = Attachment(points, asset.at(0.0))
    np.testing.assert_array_equal(attachment.follow(scrambled), attachment.follow(end))


def test_static_glb(tmp_path):
    options = GlbOptions(time=1.0, animated=False, resolution=32)
    path, _ = export(SpinningBall(), "glb", tmp_path / "a.glb", options)
    glb = Glb(path)
    assert "animations" not in glb.json
    assert "targets" not in glb.primitive
    vertices = glb.array(glb.primitive["attributes"]["POSITION"])
    np.testing.assert_allclose(vertices.mean(0), [0, 0.2, 0], atol=0.02)
    meta = glb.json["accessors"][glb.primitive["attributes"]["POSITION"]]
    np.testing.assert_array_equal([meta["min"], meta["max"]], [vertices.min(0), vertices.max(0)])
    linear = glb.array(glb.primitive["attributes"]["COLOR_0"]) / 65535
    red = linear[vertices[:, 1] > 0.4].mean(0)
    np.testing.assert_allclose(red, [0.65, 0.0145, 0.0145, 1], atol=0.02)  # sRGB (0.825, 0.125, 0.125)
    (loaded,) = trimesh.load_scene(path).geometry.values()
    assert isinstance(loaded, trimesh.Trimesh)
    assert loaded.is_watertight
    np.testing.assert_array_equal(loaded.vertices.astype(np.float32), vertices)


def test_animated_glb(tmp_path):
    asset = SpinningBall()
    path, _ = export(asset, "glb", tmp_path / "a.glb", GlbOptions(time=0.5, num_frames=5, resolution=32))
    glb = Glb(path)
    base = glb.array(glb.primitive["attributes"]["POSITION"])
    targets = [glb.array(target["POSITION"]) for target in glb.primitive["targets"]]
    assert len(targets) == 4
    (animation,) = glb.json["animations"]
    (channel,) = animation["channels"]
    assert channel["target"] == {"node": 0, "path": "weights"}
    sampler = animation["samplers"][channel["sampler"]]
    times = glb.array(sampler["input"])
    np.testing.assert_allclose(times, [0, 0.25, 0.5, 0.75, 1])
    weights = glb.array(sampler["output"]).reshape(5, 4)
    angle = np.pi * (np.arctan2(base[:, 0], base[:, 2]) / np.pi)
    radius = np.hypot(base[:, 0], base[:, 2])
    for t, weight in zip(times, weights, strict=True):
        shown = base + sum(w * target for w, target in zip(weight, targets, strict=True))
        turned = np.stack([
            radius * np.sin(angle + np.pi * t), base[:, 1] + 0.2 * t, radius * np.cos(angle + np.pi * t),
        ], axis=1)  # fmt: skip
        np.testing.assert_allclose(shown, turned, atol=3e-3)
    loaded = next(iter(trimesh.load_scene(path).geometry.values()))
    assert isinstance(loaded, trimesh.Trimesh)
    assert loaded.is_watertight
