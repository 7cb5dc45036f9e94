"""Rendered point clouds against ray-cast shapes, and posed ones against skinning in float64."""

import json
import math

import numpy as np
import pytest
import torch

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.embedded.geometry import rays, sample_view
from ar4d.experts.embedded.network import IN_SIZE
from ar4d.experts.embedded.symmetry import reflect
from ar4d.scenes.mesh import AlphaMode
from ar4d.scenes.zeroad.actors import SkinnedPart
from ar4d.scenes.zeroad.formats import NO_BONE, SkinnedMesh
from train.data import render_shapes
from train.data.actor_clouds import clouds_of_actors
from train.data.crop_batch import crops_of_views
from train.data.framing import frame_objects
from train.data.pack_actors import Pack
from train.data.point_cloud_dataset import PointCloudDataset
from train.data.point_clouds import PointCloud, stack_clouds
from train.data.procedural.clouds import procedural_clouds
from train.data.procedural.parts import Part
from train.data.splatting import Light, splat_moving_orbit, splat_orbit, splat_views
from train.data.zeroad.choice import usage_json


@pytest.fixture(scope="module")
def ellipsoid() -> tuple[Part, torch.Tensor, torch.Tensor]:
    """A part, points on it and its normals there."""
    half = np.array([0.4, 0.25, 0.15])
    part = Part(np.array([0.05, -0.1, 0.1]), np.eye(3), half, np.full((2, 3), 0.6), np.zeros(3))
    own = np.random.default_rng(0).normal(size=(40_000, 3))
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    points = torch.from_numpy(part.centre + own * half).float()
    return part, points[None], torch.from_numpy(own / half).float()[None]


def test_splatted_points_match_the_ray_cast_surface(ellipsoid):
    part, points, normals = ellipsoid
    direction = np.array([0.0, 1.0, 0.0])
    light = Light(
        torch.tensor([[0.0, 1, 0]]),
        torch.tensor([[0.7]]),
        torch.tensor([[0.2]]),
        torch.ones(1, 3),
        torch.ones(1, 3),
    )
    albedo = torch.full_like(points, 0.6)
    views, depth = splat_views(points, normals, albedo, light)
    for view, azimuth in enumerate((0.0, 90.0, 180.0, 270.0)):
        rgba, far = render_shapes.draw([part], azimuth, IN_SIZE, (direction, 0.7, 0.2))
        alpha = torch.from_numpy(rgba[..., 3]).float() / 255
        assert (views[0, view, 3] - alpha).abs().mean() < 0.004
        inside = torch.nn.functional.avg_pool2d(alpha[None], 5, 1, 2)[0] > 0.999
        wrong = (depth[0, view] - torch.from_numpy(far)).abs()[inside]
        assert wrong.mean() < 0.004
        assert wrong.max() < 0.06  # where the surface falls away, within a pixel or two
        color = torch.from_numpy(rgba[..., :3]).permute(2, 0, 1).float() / 255
        assert (views[0, view, :3] - color).abs()[:, inside].mean() < 0.01
        assert (views[0, view, :3] <= views[0, view, 3:] + 1e-5).all()
        assert not depth[0, view][views[0, view, 3] == 0].any()


def test_nearer_points_hide_farther_ones(ellipsoid):
    _, points, normals = ellipsoid
    wall = points * torch.tensor([0.4, 0.4, 0.02]) + torch.tensor([0.05, -0.1, -0.6])
    both, all_normals = torch.cat([points, wall], 1), torch.cat([normals, normals], 1)
    albedo = torch.cat(
        [torch.tensor([1.0, 0, 0]).expand_as(points), torch.tensor([0, 1.0, 0]).expand_as(points)], 1
    )
    light = Light(
        torch.tensor([[0.0, 1, 0]]), torch.ones(1, 1), torch.zeros(1, 1), torch.ones(1, 3), torch.ones(1, 3)
    )
    views, _ = splat_views(both, all_normals, albedo, light)
    assert (views[0, 0, 1] < 0.05).all()  # the wall hides behind the ellipsoid from the front
    assert (views[0, 2, 1] > 0.5).sum() > 100  # not from behind


def framed_by_numpy(points: np.ndarray, filled: float) -> tuple[float, np.ndarray]:
    """`frame_object` written out for one object in numpy."""
    focal, radius = float(intrinsics(1)[0, 0]), RADIUS
    low, high = points.min(0), points.max(0)
    centre = (low + high) / 2
    scale = 0.9 * filled * radius / focal / float((high - low)[:2].max())
    for _ in range(12):
        placed = scale * (points - centre)
        image = focal * placed[:, :2] / (radius - placed[:, 2:])
        low2, high2 = image.min(0), image.max(0)
        centre[:2] += (low2 + high2) / 2 * radius / (focal * scale)
        scale *= (filled / float((high2 - low2).max())) ** 0.8
    centred = points - centre
    reach = np.hypot(centred[:, 0], centred[:, 2])
    for _ in range(40):  # the farthest any camera on the orbit sees a point from the middle
        away = np.maximum(scale * np.hypot(reach, 0), 1e-6)
        aside = focal * away / np.sqrt(np.maximum(radius**2 - away**2, 1e-3))
        up = focal * scale * np.abs(centred[:, 1]) / np.maximum(radius - away, 1e-3)
        if away.max() < 0.9 * radius and max(aside.max(), up.max()) < 0.49:
            break
        scale *= 0.97
    return scale, centre


def test_batches_are_framed_like_single_objects():
    random = np.random.default_rng(0)
    points = random.normal(size=(3, 400, 3)) * np.array([[[0.5, 1, 0.2]], [[2, 0.3, 1]], [[0.3, 0.6, 0.3]]])
    filled = np.array([0.62, 0.7, 0.88])
    scales, centres = frame_objects(torch.from_numpy(points), torch.from_numpy(filled))
    for k in range(3):
        scale, centre = framed_by_numpy(points[k], filled[k])
        assert float(scales[k]) == pytest.approx(scale, rel=1e-6)
        np.testing.assert_allclose(centres[k].numpy(), centre, atol=1e-6)


def skinned(random: np.random.Generator) -> SkinnedPart:
    """A tube of triangles that two bones bend; its colour encodes the position along it."""
    rings, around = 9, 8
    z = np.repeat(np.linspace(-1, 1, rings), around)
    a = np.tile(np.arange(around) * 2 * math.pi / around, rings)
    positions = np.stack([0.3 * np.cos(a), 0.3 * np.sin(a), z], 1)
    faces = []
    for ring in range(rings - 1):
        for k in range(around):
            p, q = ring * around + k, ring * around + (k + 1) % around
            faces += [(p, q, p + around), (q, q + around, p + around)]
    share = (z + 1) / 2
    bones = np.full((len(z), 4), NO_BONE)
    bones[:, 0], bones[:, 1] = 0, 1
    weights = np.zeros((len(z), 4))
    weights[:, 0], weights[:, 1] = 1 - share, share
    uvs = np.stack([np.full(len(z), 0.5), share], 1).astype(np.float32)
    mesh = SkinnedMesh(
        positions, uvs, np.array(faces, np.int32), bones, weights, np.tile(np.eye(4), (2, 1, 1)), {}
    )
    turns = random.uniform(-0.6, 0.6, 4)
    matrices = np.tile(np.eye(4)[:3], (4, 3, 1, 1))
    for frame, angle in enumerate(turns):
        c, s = math.cos(angle), math.sin(angle)
        matrices[frame, 1, :, :3] = [[1, 0, 0], [0, c, -s], [0, s, c]]
    texture = np.zeros((64, 4, 4), np.uint8)
    texture[..., 0], texture[..., 3] = np.linspace(0, 255, 64)[:, None], 255
    return SkinnedPart("tube", mesh, matrices, texture, AlphaMode.OPAQUE)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    part = skinned(np.random.default_rng(0))
    pack = Pack()
    pack.add("fauna/tube", [part])
    pack.add("units/tube", [part, part])
    path = tmp_path_factory.mktemp("pack") / "actors.npz"
    pack.save(path)
    return part, path


def test_packed_actors_bend_like_their_meshes(packed):
    part, path = packed
    with np.load(path) as file:
        assert [len(clip["parts"]) for clip in json.loads(file["clips"].tobytes())] == [1, 2]
        assert sum(name.startswith("moves") for name in file.files) == 1  # stored once
    clouds = clouds_of_actors(path, 4000, validation=False)
    assert [cloud.name for cloud in clouds] == ["fauna/tube", "units/tube"]
    assert not clouds_of_actors(path, 4000, validation=True)
    posed = part.posed()
    for frame in range(4):
        points, normals = stack_clouds(clouds, torch.device("cpu")).posed(
            torch.tensor([0]), torch.tensor([frame])
        )
        away = torch.cdist(points[0], torch.from_numpy(posed.vertices[frame])).amin(1)
        assert away.max() < 0.2  # between vertices that are 0.25 apart
        corners = posed.vertices[frame][posed.faces]
        face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        nearest = torch.cdist(points[0], torch.from_numpy(corners.mean(1))).argmin(1)
        alike = torch.nn.functional.cosine_similarity(normals[0], torch.from_numpy(face).float()[nearest])
        assert alike.mean() > 0.9
    red, along = clouds[0].colors[:, 0].astype(float), clouds[0].rest[:, 2]
    assert np.corrcoef(red, along)[0, 1] < -0.99  # texture coordinates count from the texture's last row


def test_actors_with_validation_meshes_are_for_validation(tmp_path):
    part = skinned(np.random.default_rng(0))
    for validation in ("tube",), ():
        pack = Pack(validation)
        pack.add("fauna/tube", [part])
        pack.save(tmp_path / "actors.npz")
        for kept in (True, False):
            clouds = clouds_of_actors(tmp_path / "actors.npz", 100, validation=kept)
            assert len(clouds) == (kept == bool(validation))


def test_actors_are_usage_json_by_name():
    actors = [("units/b", False), ("fauna/a", True), ("units/b", False)]
    assert json.loads(usage_json(actors)) == {"fauna/a (validation)": 1, "units/b": 2}


def test_procedural_objects_are_symmetric_about_the_given_planes():
    """The mirror images of visible points lie within the outline, after warps, turns and framing."""
    clouds = [
        cloud
        for cloud in procedural_clouds(24, 2, 6000, seed=3)
        if cloud.symmetric and "lathe" not in cloud.name
    ]
    dataset = PointCloudDataset(stack_clouds(clouds, torch.device("cpu")), seed=0)
    batch = dataset.sample_views(16)
    assert not torch.equal(batch.views, batch.other_pose)
    cut_out = crops_of_views(batch)
    near = PointCloudDataset(stack_clouds(clouds, torch.device("cpu")), seed=0).sample_crops(
        16
    )  # of the same objects
    assert near.pictures.shape == cut_out.pictures.shape == (64, 4, IN_SIZE, IN_SIZE)
    assert (near.pictures - cut_out.pictures).abs().mean() < 0.03
    torch.testing.assert_close(near.planes, cut_out.planes, atol=0.1, rtol=0)
    origins, directions = rays(IN_SIZE)
    agree = {}
    for name, way in {"right": (1, 1, 1, 1), "exchanged": (1, -1, 1, 1), "aside": (1, 1, -1, -1)}.items():
        shares = []
        for k in range(16):
            points = [
                (origins[v] + directions[v] * batch.depth[k, v][..., None])[batch.depth[k, v] > 0]
                for v in range(4)
            ]
            twins = reflect(torch.cat(points), torch.tensor(way) * batch.planes[k])
            shares.append((sample_view(batch.views[k, 0, 3:], twins, 0)[0] > 0.5).float().mean().item())
        agree[name] = sum(shares) / len(shares)
    assert agree["right"] > 0.8  # they walk
    assert agree["exchanged"] < agree["right"] - 0.1
    assert agree["aside"] < agree["right"] - 0.1


@pytest.mark.parametrize("azimuth_deg", [37.0, -110.0])
def test_views_from_any_azimuth_match_the_ray_cast_surface(ellipsoid, azimuth_deg):
    part, points, normals = ellipsoid
    direction = np.array([0.8, 0.0, 0.6])
    light = Light(
        torch.from_numpy(direction).float()[None],
        torch.tensor([[0.3]]),
        torch.tensor([[0.6]]),
        torch.ones(1, 3),
        torch.ones(1, 3),
    )
    azimuths = torch.tensor([math.radians(azimuth_deg)])
    views, depth = splat_orbit(points, normals, torch.full_like(points, 0.6), light, azimuths)
    rgba, far = render_shapes.draw([part], azimuth_deg, IN_SIZE, (direction, 0.3, 0.6))
    alpha = torch.from_numpy(rgba[..., 3]).float() / 255
    assert (views[0, 0, 3] - alpha).abs().mean() < 0.004
    inside = torch.nn.functional.avg_pool2d(alpha[None], 5, 1, 2)[0] > 0.999
    assert (depth[0, 0] - torch.from_numpy(far)).abs()[inside].mean() < 0.008
    color = torch.from_numpy(rgba[..., :3]).permute(2, 0, 1).float() / 255
    assert (views[0, 0, :3] - color).abs()[:, inside].mean() < 0.01


def test_a_grid_shows_one_clip_from_all_azimuths():
    clouds = stack_clouds(procedural_clouds(6, 8, 4000, seed=5), torch.device("cpu"))
    azimuths_deg = (0.0, 90.0, 180.0, 270.0, 45.0)
    grid = PointCloudDataset(clouds, seed=1).sample_grids(2, azimuths_deg, 3)
    assert grid.rgba.shape == (2, 5, 3, 4, IN_SIZE, IN_SIZE)
    assert grid.depth.shape == (2, 5, 3, IN_SIZE, IN_SIZE)
    torch.testing.assert_close(grid.azimuths_deg, torch.tensor(azimuths_deg))
    same = PointCloudDataset(clouds, seed=1)
    scene = same._scene(2, same.odds, lambda rng: same._consecutive(rng, 3))
    for frame in range(3):
        views, depth = splat_views(scene.points[frame], scene.normals[frame], scene.albedo, scene.light)
        assert (grid.rgba[:, :4, frame] - views).abs().mean() < 1e-3
        assert (grid.depth[:, :4, frame] - depth).abs().mean() < 1e-3
    moved = (grid.rgba[:, :, 0] - grid.rgba[:, :, 2]).abs().mean((2, 3, 4))
    assert (moved > 1e-3).all()
    assert (grid.rgba[:, 4] - grid.rgba[:, 0]).abs().mean() > 1e-2


def test_frames_of_a_grid_are_a_cycle_in_equal_steps():
    """Every pose of a made cycle of 16 differs from the next by as much as that from its next, about."""
    clouds = stack_clouds(procedural_clouds(4, 8, 500, seed=5), torch.device("cpu"))
    objects = torch.arange(4)
    poses = [clouds.posed(objects, torch.full((4,), k))[0] for k in range(16)]
    steps = torch.stack([(poses[k] - poses[(k + 1) % 16]).norm(dim=-1).mean(1) for k in range(16)])
    assert (steps.amax(0) < 4 * steps.mean(0)).all()


def test_a_cloud_with_too_many_bones_is_left_out():
    def cloud(bones: int) -> PointCloud:
        zeros = np.zeros((10, 3), np.float32)
        return PointCloud(
            "units/x", True, zeros, zeros, np.zeros((10, 4), np.uint8), np.zeros((10, 4), np.float16),
            np.zeros((10, 4), np.uint8), np.zeros((2, bones, 3, 4), np.float32),
        )  # fmt: skip

    assert len(stack_clouds([cloud(3), cloud(256)], torch.device("cpu"))) == 1


def test_flow_leads_to_where_the_same_surface_is_next():
    """Colours sampled where the flow points to are nearer to the next frame's than those that stay."""
    clouds = stack_clouds(procedural_clouds(4, 8, 4000, seed=5), torch.device("cpu"))
    grid = PointCloudDataset(clouds, seed=1).sample_grids(2, (0.0, 90.0), 2, strides=(2,))
    assert grid.flow.shape == (2, 2, 1, 2, IN_SIZE, IN_SIZE)
    assert not grid.flow[:, :, 0][(grid.depth[:, :, 0, None] == 0).expand(-1, -1, 2, -1, -1)].any()
    line = (torch.arange(IN_SIZE) + 0.5) / IN_SIZE * 2 - 1
    still = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    for k in range(2):
        for view in range(2):
            before, after = grid.rgba[k, view]
            there = still + 2 / IN_SIZE * grid.flow[k, view, 0].permute(1, 2, 0)
            found = torch.nn.functional.grid_sample(after[None], there[None], align_corners=False)[0]
            inside = grid.depth[k, view, 0] > 0
            moved, kept = ((x - before).abs().mean(0)[inside].mean() for x in (found, after))
            assert moved < 0.85 * kept


def test_flow_of_a_known_motion_is_that_of_the_projection(ellipsoid):
    """A point at the world's origin, 1.5 units before the camera, moves by focal length × shift / 1.5."""
    _, points, normals = ellipsoid
    light = Light(
        torch.tensor([[0.0, 1, 0]]), torch.ones(1, 1), torch.zeros(1, 1), torch.ones(1, 3), torch.ones(1, 3)
    )
    shift = torch.tensor([0.0, 0.06, 0.0])
    flat = points * torch.tensor([1.0, 1.0, 0.0])
    _, depth, flow = splat_moving_orbit(
        flat, flat + shift, normals, torch.ones_like(points), light, torch.zeros(1)
    )
    expected = -float(intrinsics(IN_SIZE)[0, 0]) * 0.06 / RADIUS  # up is towards smaller rows
    inside = depth[0, 0] > 0
    assert flow[0, 0, 1][inside].mean() == pytest.approx(expected, rel=1e-3)
    assert flow[0, 0, 0][inside].abs().max() < 1e-3


def test_a_shrunk_grid_keeps_its_motion_in_pixels():
    clouds = stack_clouds(procedural_clouds(2, 8, 2000, seed=5), torch.device("cpu"))
    grid = PointCloudDataset(clouds, seed=1).sample_grids(1, (0.0, 90.0), 2)
    small = grid.shrunk(2)
    assert small.rgba.shape[-1] == small.flow.shape[-1] == small.depth.shape[-1] == IN_SIZE // 2
    assert small.rgba.mean() == pytest.approx(float(grid.rgba.mean()), rel=1e-5)
    assert small.flow.abs().sum() == pytest.approx(float(grid.flow.abs().sum()) / 8, rel=0.1)
