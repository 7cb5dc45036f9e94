import numpy as np
import pytest

from ar4d.clip.findings import name_frames
from ar4d.clip.framing import Crop
from ar4d.clip.screening import (
    border_warning,
    camera_warning,
    jump_warning,
    size_warning,
    with_subject,
)
from tests.support.footage import disk, room, room_masks


def masks_of(*disks: tuple[float, float, float]) -> np.ndarray:
    return np.stack([disk(x, y, r)[..., 3] / 255 for x, y, r in disks]).astype(np.float32)


def labels(count: int) -> list[str]:
    return [f"frame {k}" for k in range(count)]


def test_frames_without_a_subject_are_found():
    masks = masks_of((40, 32, 15), (40, 32, 14), (40, 32, 1), (40, 32, 0), (40, 32, 12))
    np.testing.assert_array_equal(with_subject(masks, 0.5), [True, True, False, False, True])
    assert not with_subject(np.zeros((2, 8, 8)), 0.5).any()


def test_a_subject_at_the_border_is_told_with_its_frames():
    masks = masks_of((40, 32, 10), (92, 32, 10), (40, 60, 10))
    (warning,) = border_warning(masks, 0.5, labels(3))
    assert "frame 1, frame 2:" in warning
    assert border_warning(masks[:1], 0.5, labels(1)) == []


def test_a_jump_of_the_area_is_told():
    masks = masks_of((40, 32, 10), (40, 32, 11), (40, 32, 16), (40, 32, 17))
    (warning,) = jump_warning(masks, 0.5, labels(4))
    assert "frame 2:" in warning
    assert jump_warning(masks[:2], 0.5, labels(2)) == []


@pytest.mark.parametrize(("pan", "moves"), [(0.0, False), (2.0, False), (10.0, True), (25.0, True)])
def test_a_moving_camera_is_told_from_a_moving_subject(pan, moves):
    pictures = np.stack(room(4, pan=pan))
    noise = np.random.default_rng(1).normal(0, 2, pictures.shape)
    pictures = np.clip(pictures + noise, 0, 255).astype(np.uint8)
    warnings = camera_warning(pictures, room_masks(4), 0.5, labels(4))
    assert len(warnings) == moves
    if moves:
        assert "frame 1, frame 2, frame 3:" in warnings[0]
        assert f"{100 * pan / 320:.0f} %" in warnings[0]


def test_a_wall_without_texture_says_nothing_of_the_camera():
    pictures = np.full((4, 240, 320, 3), 180, np.uint8)
    noise = np.random.default_rng(1).normal(0, 1, pictures.shape)
    pictures = np.clip(pictures + noise, 0, 255).astype(np.uint8)
    assert camera_warning(pictures, room_masks(4), 0.5, labels(4)) == []


def test_a_tiny_subject_is_told():
    (warning,) = size_warning(Crop(0, 0, 50, 640, 480), 256)
    assert "about 40 pixels" in warning
    assert size_warning(Crop(0, 0, 200, 640, 480), 256) == []


def test_long_lists_of_frames_are_cut_short():
    assert name_frames(labels(2)) == "frame 0, frame 1"
    assert name_frames(labels(9)) == "frame 0, frame 1, frame 2, frame 3 and 5 more"
