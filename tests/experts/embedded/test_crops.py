"""Crops to the object, and the planes of symmetry in them."""

import math

import pytest
import torch

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.embedded.crops import FILL, bounding_boxes, crop_to_object
from ar4d.experts.embedded.facing import AZIMUTHS_DEG, OFFSET_UNIT, angle_between_deg, top_planes
from ar4d.experts.embedded.network import IN_SIZE
from ar4d.experts.embedded.symmetry import upright_plane


def blot(size: int, left: int, top: int, width: int, height: int) -> torch.Tensor:
    """[4, size, size] with an opaque rectangle whose colours change along its sides."""
    picture = torch.zeros(4, size, size)
    across, down = torch.linspace(0.1, 0.9, width), torch.linspace(0.9, 0.1, height)
    inside = picture[:, top : top + height, left : left + width]
    inside[0], inside[1], inside[3] = across, down[:, None], 1.0
    return picture


def test_a_crop_does_not_depend_on_place_and_size():
    near = crop_to_object(torch.stack([blot(256, 20, 30, 60, 90), blot(256, 120, 100, 120, 150)]))
    one, other = near.pictures
    assert one.shape == (4, IN_SIZE, IN_SIZE)
    wide, tall = (int((one[3] > 0.5).any(axis).sum()) for axis in (0, 1))
    assert abs(tall - FILL * IN_SIZE) <= 1
    assert abs(wide - FILL * IN_SIZE * 60 / 90) <= 1
    low, high = bounding_boxes(near.pictures[:, 3] > 0.5)
    torch.testing.assert_close(low, -high, atol=0.02, rtol=0)
    assert near.zoom[0] / near.zoom[1] == pytest.approx(150 / 90, rel=0.01)
    resized = crop_to_object(blot(256, 120, 100, 100, 150)[None]).pictures[0]  # with the shape of the first
    assert (one - resized).abs().mean() < 0.01
    assert (one - other).abs().mean() > 0.02


def test_an_empty_picture_is_not_cropped():
    near = crop_to_object(torch.zeros(1, 4, 64, 64))
    assert near.zoom.item() == pytest.approx(FILL)
    assert not near.pictures.any()


def test_a_plane_turns_by_the_angle_of_the_ray_to_the_object():
    """Compared with the world turned about the camera until the object lies straight ahead."""
    size, centre, azimuth = 512, torch.tensor([0.3, 0.0, 0.0]), math.radians(35.0)
    focal = float(intrinsics(size)[0, 0])
    u = round(size / 2 + focal * float(centre[0]) / RADIUS)
    near = crop_to_object(blot(size, u - 30, size // 2 - 40, 60, 80)[None])
    normal = torch.tensor([math.cos(azimuth), 0.0, -math.sin(azimuth)])
    plane = torch.tensor([upright_plane(math.degrees(azimuth), float(normal @ centre))])
    camera = torch.tensor([0.0, 0.0, RADIUS])
    ray = centre - camera
    theta = math.atan2(float(ray[0]), -float(ray[2]))
    c, s = math.cos(theta), math.sin(theta)
    turn = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    straight = turn @ ray
    assert abs(straight[0]) < 1e-6
    assert straight[2] < 0
    turned = turn @ normal
    expected = math.degrees(math.atan2(-float(turned[2]), float(turned[0])))
    seen = near.planes_from_full(plane)
    assert float(angle_between_deg(seen[0], torch.tensor(upright_plane(expected, 0)))) < 0.3
    assert seen[0, 2:].norm() < 0.01  # through the crop's centre


@pytest.mark.parametrize("azimuth_deg", [-88.0, -40.0, 3.0, 66.0, 89.0])
def test_predictions_for_crops_convert_to_full_pictures(azimuth_deg):
    pictures = [blot(256, *place) for place in ((150, 40, 90, 60), (10, 40, 50, 60), (100, 100, 50, 50))]
    near = crop_to_object(torch.stack(pictures))
    planes = torch.tensor([upright_plane(azimuth_deg, 0.11)]).expand(3, 4)
    seen = near.planes_from_full(planes)
    assert float(angle_between_deg(seen[0], planes[0])) > 5
    every = torch.tensor([upright_plane(azimuth, 1.0) for azimuth in AZIMUTHS_DEG])
    logits = -0.5 * (angle_between_deg(seen[:, None], every) / 5).square()
    offsets = seen[:, 2:] @ every[:, 2:].T / OFFSET_UNIT
    whole = near.predictions_to_full(logits, offsets, OFFSET_UNIT)
    for k in range(3):
        found = top_planes(whole[0][k], whole[1][k])[0][0]
        assert float(angle_between_deg(found, planes[k])) < 0.5
        torch.testing.assert_close(found[2:], planes[k, 2:], atol=0.004, rtol=0)
    assert not near.planes_from_full(torch.zeros(3, 4)).any()
