"""The clean plate against scenes whose subject is known."""

from __future__ import annotations

import numpy as np
import pytest

from ar4d.clip.matting.plate import clean_plate, compare_with_plate

SIDE, FRAMES = 160, 8
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
RED, BLUE = (200, 40, 40), (40, 40, 200)


def ground(shift: int = 0) -> np.ndarray:
    """A grey wall with coarse stripes, [h, w, 3] uint8."""
    grey = 120 + 25 * np.sin((COLUMNS + 3 * shift) / 7.0)
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)


def disk(x: float, y: float, radius: float) -> np.ndarray:
    return (COLUMNS - x) ** 2 + (ROWS - y) ** 2 < radius**2


BODY = disk(60, 80, 30)
RING = disk(104, 80, 24) & ~disk(104, 80, 17) & ~BODY
HOLE = disk(104, 80, 16) & ~BODY


def scene(out: tuple[int, ...], shake: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of a red body whose blue ring is `out` in some frames, and the true masks."""
    noise = np.random.default_rng(0)
    pictures, masks = [], []
    for frame in range(FRAMES):
        picture, mask = ground(shake * frame), BODY | (RING if frame in out else np.zeros_like(RING))
        picture[BODY] = RED
        if frame in out:
            picture[RING] = BLUE
        pictures.append(np.clip(picture + noise.normal(0, 2, picture.shape), 0, 255).astype(np.uint8))
        masks.append(mask)
    return np.stack(pictures), np.stack(masks)


def agreement(maps: np.ndarray, masks: np.ndarray) -> float:
    found = maps > 0.5
    return float((found & masks).sum() / (found | masks).sum())


def test_a_part_that_the_network_dropped_comes_back_without_its_hole() -> None:
    pictures, masks = scene(out=(0, 5, 6, 7))
    maps = masks.astype(np.float32)
    maps[0] = BODY  # the network overlooks the ring
    corrected = compare_with_plate(maps, pictures, 0.5)
    assert agreement(maps[:1], masks[:1]) < 0.9
    assert agreement(corrected[:1], masks[:1]) > 0.95
    assert np.array_equal(corrected[1:] > 0.5, masks[1:])


def test_what_is_seen_through_the_subject_is_opened() -> None:
    pictures, masks = scene(out=(0, 5, 6, 7))
    maps = masks.astype(np.float32)
    maps[6] = BODY | RING | HOLE
    corrected = compare_with_plate(maps, pictures, 0.5)
    assert (corrected[6] > 0.5)[HOLE].mean() < 0.2
    assert agreement(corrected[6:7], masks[6:7]) > 0.95


def test_a_shadow_is_no_part() -> None:
    pictures, masks = scene(out=())
    shadow = disk(60, 118, 14) & ~BODY
    for frame in (2, 3):
        pictures[frame][shadow] = (0.6 * pictures[frame][shadow]).astype(np.uint8)
    maps = masks.astype(np.float32)
    assert np.array_equal(compare_with_plate(maps, pictures, 0.5), maps)


def test_something_else_that_moves_is_no_part() -> None:
    pictures, masks = scene(out=())
    pictures[3][disk(145, 15, 8)] = BLUE
    maps = masks.astype(np.float32)
    assert np.array_equal(compare_with_plate(maps, pictures, 0.5), maps)


@pytest.mark.parametrize("shake", [4, 9])
def test_a_camera_that_moves_leaves_no_plate(shake: int) -> None:
    pictures, masks = scene(out=(0, 5, 6, 7), shake=shake)
    maps = masks.astype(np.float32)
    maps[0] = BODY
    assert clean_plate(maps, pictures) is None
    assert compare_with_plate(maps, pictures, 0.5) is maps


def test_too_few_frames_leave_no_plate() -> None:
    pictures, masks = scene(out=())
    assert clean_plate(masks[:2].astype(np.float32), pictures[:2]) is None


def test_the_plate_is_the_ground() -> None:
    pictures, masks = scene(out=(0, 5, 6, 7))
    plate = clean_plate(masks.astype(np.float32), pictures)
    assert plate is not None
    assert not plate.known[BODY].any()
    assert plate.known[HOLE & disk(106, 80, 8)].all()
    assert np.abs(plate.picture - ground())[plate.known].mean() < 2
