"""The rasteriser against rays cast in float64, and its pictures against the meshes they show."""

import numpy as np
import pytest

from ar4d.cameras import orbit
from ar4d.scenes.lighting import AMBIENT, DIFFUSE, LIGHT, SKY, TEAM_COLOUR
from ar4d.scenes.mesh import AlphaMode, Clip, Part
from ar4d.scenes.rasterizer import SAMPLES, Scene
from ar4d.scenes.solids import Assembly, box, ellipsoid, stripes

SIZE = 24


def cast(scene: Scene, frame: int, camera, x: float, y: float):
    """The nearest hit of the ray through a place in the picture: depth, triangle, its barycentric weights."""
    viewmat, K = camera.viewmats[0].double().numpy(), camera.Ks[0].double().numpy()
    eye = -viewmat[:3, :3].T @ viewmat[:3, 3]
    ray = viewmat[:3, :3].T @ np.array([(x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1], 1.0])
    best = (np.inf, -1, np.zeros(3))
    for t, corners in enumerate(scene.faces):
        a, b, c = scene.vertices[frame][corners]
        system = np.stack([a - c, b - c, -ray], axis=1)
        if abs(np.linalg.det(system)) < 1e-14:
            continue
        u, v, depth = np.linalg.solve(system, eye - c)
        if min(u, v, 1 - u - v) >= 0 and 0 < depth < best[0]:
            best = (depth, t, np.array([u, v, 1 - u - v]))
    return best


@pytest.fixture(scope="module")
def blocks() -> Scene:
    a = Assembly(2)
    turn = a.joint(a.still(0.1, 0, 0), (0, 0, 0), "y", np.array([0.3, 0.9]))
    a.add(box((0.3, 0.2, 0.25)), turn, stripes((0.9, 0.2, 0.1), (0.1, 0.2, 0.8), 4, 3, 1))
    a.add(ellipsoid((0.25, 0.3, 0.2), 5, 7), a.still(-0.25, 0.1, 0.1), (0.4, 0.8, 0.3))
    return Scene(a.clip())


@pytest.mark.parametrize(("azimuth", "elevation", "frame"), [(0, 0, 0), (105, 15, 1)])
def test_depth_is_where_rays_meet_the_mesh(blocks, azimuth, elevation, frame):
    camera = orbit(azimuth, elevation, size=SIZE)
    depth = blocks.draw(frame, camera).depth
    cast_ = [[cast(blocks, frame, camera, x + 0.5, y + 0.5)[0] for x in range(SIZE)] for y in range(SIZE)]
    truth = np.array(cast_)
    truth[np.isinf(truth)] = 0
    assert 0.1 < (truth > 0).mean() < 0.9
    np.testing.assert_allclose(depth, truth, atol=1e-9)


def test_alpha_is_the_share_of_samples_that_hit(blocks):
    camera = orbit(0, size=SIZE)
    rgba = blocks.draw(0, camera).rgba
    outline = [(y, x) for y, x in np.argwhere((rgba[..., 3] > 0) & (rgba[..., 3] < 255))[::5]]
    assert outline
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
    for y, x in outline:
        hits = [cast(blocks, 0, camera, x + i, y + j)[1] >= 0 for j in steps for i in steps]
        assert rgba[y, x, 3] == np.floor(np.mean(hits) * 255 + 0.5)


def test_normals_face_the_camera_and_are_those_of_the_box(blocks):
    seen = blocks.draw(0, orbit(0, size=64))
    normals = seen.normals[seen.depth > 0]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-12)
    turn = np.array([[np.cos(0.3), 0, np.sin(0.3)], [0, 1, 0], [-np.sin(0.3), 0, np.cos(0.3)]])
    front = turn @ np.array([0, 0, 1.0])
    assert (np.abs(normals - front).max(1) < 1e-6).sum() > 100  # the box's front, seen head-on


def test_the_light_and_the_texture_make_the_colour():
    """One triangle that fills the picture, whose texture has one colour: the formula of the light."""
    texture = np.full((2, 2, 4), (200, 100, 50, 255), np.uint8)
    corners = np.array([[[-9, -9, 0], [9, -9, 0], [0, 18, 0]]], np.float32)
    part = Part(corners, np.array([[0, 1, 2]], np.int32), np.zeros((3, 2), np.float32), texture)
    light = np.array(LIGHT) / np.linalg.norm(LIGHT)
    shade = AMBIENT + DIFFUSE * light[2] + SKY * 0
    rgba = Scene(Clip((part,))).draw(0, orbit(0, size=4)).rgba
    expected = np.floor(np.clip(np.array([200, 100, 50]) / 255 * shade, 0, 1) * 255 + 0.5)
    assert (rgba == np.array([*expected, 255])).all()
    behind = Scene(Clip((part,))).draw(0, orbit(180, size=4)).rgba  # the other side, lit as its own
    shade = AMBIENT
    assert (
        behind[..., :3] == np.floor(np.clip(np.array([200, 100, 50]) / 255 * shade, 0, 1) * 255 + 0.5)
    ).all()


def test_what_alpha_in_a_texture_means():
    half = np.full((1, 2, 4), 255, np.uint8)
    half[0, 0, 3] = 0
    corners = np.array([[[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]]], np.float32)
    uvs = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)

    def drawn(mode: AlphaMode):
        return Scene(Clip((Part(corners, faces, uvs, half, mode),))).draw(0, orbit(0, size=32)).rgba

    left, right = (16, 11), (16, 21)
    assert drawn(AlphaMode.CUTOUT)[left][3] == 0
    assert drawn(AlphaMode.CUTOUT)[right][3] == 255
    assert drawn(AlphaMode.OPAQUE)[left][3] == 255
    team = drawn(AlphaMode.TEAM_COLOUR)[left][:3] / drawn(AlphaMode.TEAM_COLOUR)[right][:3]
    np.testing.assert_allclose(team, TEAM_COLOUR, atol=0.3)
    assert team[0] > 3 * team[1]
