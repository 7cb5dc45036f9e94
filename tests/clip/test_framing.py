import numpy as np
import pytest
from PIL import Image

from ar4d.clip.framing import Crop, resample, union_crop, whole_crop, window_of
from ar4d.errors import UserError


def cut(picture: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """A crop of an RGBA picture [h, w, 4] uint8, by way of its window."""
    window = window_of(crop, picture.shape[1], picture.shape[0])
    values = window.of(picture).astype(np.float32) / 255
    return resample(values[..., :3], values[..., 3], window, crop, size)


def test_the_crop_holds_all_frames_with_its_longest_side_at_80_percent():
    masks = np.zeros((3, 60, 100), np.float32)
    for k in range(3):
        masks[k, 20:30, 10 + 20 * k : 30 + 20 * k] = 1
    crop = union_crop(masks, 0.5, width=1000, height=600)
    assert crop.side == pytest.approx(600 / 0.8)  # from 100 to 700
    assert (crop.x + crop.side / 2, crop.y + crop.side / 2) == pytest.approx((400, 250))
    assert (crop.source_width, crop.source_height) == (1000, 600)


def test_a_framed_clip_must_be_square():
    assert whole_crop(512, 512, "a") == Crop(0, 0, 512, 512, 512)
    with pytest.raises(UserError, match=r"lion\.mp4 is 640×480"):
        whole_crop(640, 480, "lion.mp4")


def test_a_whole_picture_of_the_right_size_stays_bit_exact():
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 4), dtype=np.uint8)
    picture[picture[..., 3] < 40] = 0
    np.testing.assert_array_equal(cut(picture, whole_crop(32, 32, ""), 32), picture)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_resampling_agrees_with_an_area_average(size):
    """A crop that begins between pixels and reaches outside, against sampling at 16 × 16 points a pixel."""
    ys, xs = np.mgrid[:48, :48] / 48
    picture = np.stack([xs * 255, ys * 255, (xs + ys) * 127, 255 * (np.hypot(xs - 0.5, ys - 0.5) < 0.3)], -1)
    picture = np.round(picture).astype(np.uint8)
    crop = Crop(-8.25, 4.5, 64.0, 48, 48)
    found = cut(picture, crop, size).astype(np.float64)

    points = (np.arange(size * 16) + 0.5) / (size * 16) * crop.side
    columns, rows = np.floor(crop.x + points).astype(int), np.floor(crop.y + points).astype(int)
    inside = ((rows >= 0) & (rows < 48))[:, None] & ((columns >= 0) & (columns < 48))[None]
    fine = picture[np.clip(rows, 0, 47)][:, np.clip(columns, 0, 47)] * inside[..., None]
    alpha = fine[..., 3:] / 255.0
    blocks = np.concatenate([fine[..., :3] * alpha, alpha], -1).reshape(size, 16, size, 16, 4).mean((1, 3))
    expected = blocks[..., :3] / np.maximum(blocks[..., 3:], 1e-9)
    # Two kernels of the same width differ at an edge by a fraction of a pixel.
    assert np.abs(found[..., 3] / 255 - blocks[..., 3]).mean() < 0.02
    opaque = blocks[..., 3] > 0.999
    assert np.abs(found[..., :3] - expected)[opaque].max() < 10
    assert found[:, : int(8 / 64 * size) - 1].max() == 0  # left of the picture


def test_no_colour_of_transparent_pixels_shows_up():
    picture = np.zeros((40, 40, 4), np.uint8)
    picture[...] = (0, 255, 0, 0)
    picture[10:30, 10:30] = (200, 30, 40, 255)
    found = cut(picture, Crop(3.3, 2.7, 33.0, 40, 40), 17).astype(int)
    visible = found[..., 3] > 0
    assert np.abs(found[visible][:, :3] - (200, 30, 40)).max() <= 1
    assert found[~visible].max() == 0


def test_a_window_sees_the_same_place_of_a_coarse_mask():
    mask = np.zeros((12, 16), np.float32)
    mask[3:6, 4:8] = 1
    window = window_of(Crop(60.0, 40.0, 100.0, 320, 240), 320, 240)
    fine = window.of_coarse(mask)
    exact = np.asarray(Image.fromarray(mask).resize((320, 240), Image.Resampling.BILINEAR))
    assert fine.shape == (100, 100)
    np.testing.assert_allclose(fine, window.of(exact), atol=0.02)
    assert fine.max() > 0.99
