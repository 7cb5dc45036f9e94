import math

import numpy as np
import pytest
import torch

from ar4d.cameras import FOV_Y_DEG, RADIUS, orbit


@pytest.mark.parametrize("azimuth", [0, 15, 90, -75, 180, 400])
@pytest.mark.parametrize("elevation", [0, 30, -20])
def test_centre_and_axes(azimuth, elevation):
    viewmat = orbit(azimuth, elevation, size=100).viewmats[0].double().numpy()
    rotation, translation = viewmat[:3, :3], viewmat[:3, 3]
    a, e = math.radians(azimuth), math.radians(elevation)
    centre = RADIUS * np.array([math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a)])
    np.testing.assert_allclose(-rotation.T @ translation, centre, atol=1e-6)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(rotation[2], -centre / RADIUS, atol=1e-6)  # looks at the origin
    assert rotation[1] @ [0, 1, 0] < 0  # y down in the image, up in the world


def test_projection_at_the_edge_of_the_field_of_view():
    cameras = orbit(0.0, size=200)
    top = torch.tensor([0.0, RADIUS * math.tan(math.radians(FOV_Y_DEG) / 2), 0.0])
    in_camera = cameras.viewmats[0, :3, :3] @ top + cameras.viewmats[0, :3, 3]
    pixel = cameras.Ks[0] @ in_camera / in_camera[2]
    torch.testing.assert_close(pixel, torch.tensor([100.0, 0.0, 1.0]), atol=1e-3, rtol=0)


def test_azimuth_90_sees_the_positive_x_side():
    viewmat = orbit(90.0, size=10).viewmats[0]
    near = (viewmat[:3, :3] @ torch.tensor([0.5, 0.0, 0.0]) + viewmat[:3, 3])[2]
    assert near == pytest.approx(RADIUS - 0.5, abs=1e-6)


def test_batch_and_slice():
    cameras = orbit([0.0, 90.0, 180.0], size=32)
    assert len(cameras) == 3
    assert torch.equal(cameras[1:2].viewmats, cameras.viewmats[1:2])
