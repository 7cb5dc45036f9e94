"""Where objects are placed, and the points on their surfaces."""

import numpy as np
import pytest

from ar4d.cameras import orbit
from ar4d.scenes.made import MADE
from ar4d.scenes.mesh import AlphaMode, Clip, Part
from ar4d.scenes.placing import FILL, GRID, placed, turned
from ar4d.scenes.points import surface_points


def box_in(points: np.ndarray, azimuth: float, elevation: float) -> np.ndarray:
    """The box [2, 2] of points in a picture of width 1, by the camera's matrices."""
    camera = orbit(azimuth, elevation, size=1)
    seen = points @ camera.viewmats[0, :3, :3].double().numpy().T + camera.viewmats[0, :3, 3].double().numpy()
    flat = seen @ camera.Ks[0].double().numpy().T
    flat = flat[:, :2] / flat[:, 2:]
    return np.stack([flat.min(0), flat.max(0)])


@pytest.mark.parametrize(("name", "elevation"), [("car", 0), ("bird", 15)])
def test_the_object_fills_its_picture_and_leaves_none(name, elevation):
    clip, placing = placed(turned(MADE[name](3), 40), elevation, (0, 15))
    points = np.concatenate([p for k in range(3) for p in clip.points(k)]).astype(np.float64)
    own = box_in(points, 0, elevation)
    np.testing.assert_allclose(own.mean(0), 0.5, atol=2e-3)
    assert (own[1] - own[0]).max() == pytest.approx(placing.extent, abs=1e-3)
    assert placing.shrunk == (placing.extent < FILL - 0.01)
    for azimuth in range(0, 360, 15):
        for height in (0, 15):
            box = box_in(points, azimuth, height)
            assert box.min() > 0
            assert box.max() < 1
    assert np.abs(points).max() <= 1
    assert (points / GRID == np.round(points / GRID)).all()


def test_a_yaw_turns_towards_the_pictures_right():
    corner = np.zeros((1, 3, 3), np.float32)
    corner[0, 0] = (0, 0, 1)
    clip = Clip((Part(corner, np.array([[0, 1, 2]], np.int32), np.zeros((3, 2), np.float32)),))
    np.testing.assert_allclose(turned(clip, 90).parts[0].vertices[0, 0], (1, 0, 0), atol=1e-7)


def test_points_stay_on_their_triangles_and_out_of_holes():
    texture = np.full((1, 2, 4), 255, np.uint8)
    texture[0, 0, 3] = 0
    square = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]], np.float32)
    vertices = np.stack([square, square + np.array([0, 0, 1], np.float32)]).astype(np.float32)
    uvs = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    points = surface_points(Clip((Part(vertices, faces, uvs, texture, AlphaMode.CUTOUT),)), 2000)
    assert points.shape == (2, 2000, 3)
    np.testing.assert_allclose(points[1] - points[0], np.tile([0, 0, 1.0], (2000, 1)))
    assert points[..., 0].min() >= 1  # the left half of the texture is a hole
    counts, _, _ = np.histogram2d(points[0, :, 0], points[0, :, 1], bins=2, range=((1, 2), (0, 1)))
    assert counts.min() > 400  # evenly: 500 each
