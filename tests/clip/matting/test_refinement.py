import numpy as np
import pytest

from ar4d.clip.matting.refinement import (
    fill_false_holes,
    foreground_colors,
    guided_filter,
    resize_maps,
    steady,
)
from tests.support.footage import disk, over


def test_the_guided_filter_agrees_with_its_definition():
    rng = np.random.default_rng(0)
    guide, values = rng.random((12, 14, 3)), rng.random((12, 14))
    radius, eps = 2, 1e-2
    found = guided_filter(guide.astype(np.float32), values.astype(np.float32), radius, eps)

    padded_guide = np.pad(guide, ((8, 8), (8, 8), (0, 0)), mode="symmetric")
    padded_values = np.pad(values, 8, mode="symmetric")
    height, width = padded_values.shape
    a, b = np.zeros((height, width, 3)), np.zeros((height, width))
    for y in range(radius, height - radius):
        for x in range(radius, width - radius):
            window = np.s_[y - radius : y + radius + 1, x - radius : x + radius + 1]
            colors, targets = padded_guide[window].reshape(-1, 3), padded_values[window].ravel()
            spread = np.cov(colors.T, bias=True) + eps * np.eye(3)
            cross = ((colors - colors.mean(0)) * (targets - targets.mean())[:, None]).mean(0)
            a[y, x] = np.linalg.solve(spread, cross)
            b[y, x] = targets.mean() - a[y, x] @ colors.mean(0)
    expected = np.zeros_like(values)
    # scipy's reflection of the coefficients at the border is that of the picture, up to two pixels.
    for y in range(4, 8):
        for x in range(4, 10):
            window = np.s_[8 + y - radius : 8 + y + radius + 1, 8 + x - radius : 8 + x + radius + 1]
            mean_a = a[window].reshape(-1, 3).mean(0)
            expected[y, x] = mean_a @ guide[y, x] + b[window].mean()
    np.testing.assert_allclose(found[4:8, 4:10], expected[4:8, 4:10], atol=2e-5)


def test_the_guided_filter_moves_a_soft_edge_to_the_pictures():
    original = disk(48, 48, 30, size=(96, 96))
    picture = over(original, (120, 140, 180)).astype(np.float32) / 255
    ys, xs = np.mgrid[:96, :96] + 0.5
    soft = np.clip(0.5 + (30 - np.hypot(xs - 50, ys - 46)) / 12, 0, 1).astype(np.float32)  # off by 3 pixels
    exact = original[..., 3] > 127
    refined = guided_filter(picture, soft, 6)
    wrong, still_wrong = ((values > 0.5) != exact for values in (soft, refined))
    assert still_wrong.sum() < 0.2 * wrong.sum()


def test_flicker_goes_where_nothing_moves():
    maps = np.zeros((5, 32, 32), np.float32)
    maps[:, 8:24, 8:24] = 1
    maps[2, 10:20, 10:20] = 0.2  # the network blinks
    pictures = np.full((5, 64, 64, 3), 90, np.uint8)
    np.testing.assert_allclose(steady(maps, pictures)[2], maps[1], atol=1e-6)


def test_what_moves_leaves_no_ghost():
    pictures = np.stack([over(disk(20 + 15 * k, 48, 12, size=(96, 96))) for k in range(5)])
    maps = np.stack([disk(20 + 15 * k, 48, 12, size=(96, 96))[..., 3] / 255 for k in range(5)])
    maps = maps.astype(np.float32)
    assert np.abs(steady(maps, pictures) - maps).max() < 0.1


def test_short_clips_stay_as_they_are():
    maps = np.random.default_rng(0).random((2, 8, 8), np.float32)
    np.testing.assert_array_equal(steady(maps, np.zeros((2, 8, 8, 3), np.uint8)), maps)


def test_a_hole_is_closed_unless_one_sees_the_background_through_it():
    picture = np.full((64, 64, 3), 200, np.uint8)
    picture[10:54, 10:54] = (30, 40, 60)
    picture[20:30, 20:30] = (90, 20, 20)  # a dark red part of the subject
    picture[36:46, 36:46] = 198  # the wall behind
    mask = np.zeros((64, 64), np.float32)
    mask[10:54, 10:54] = 1
    mask[20:30, 20:30] = mask[36:46, 36:46] = 0.1
    filled = fill_false_holes(mask, picture, 0.5)
    assert (filled[20:30, 20:30] == 1).all()
    assert (filled[36:46, 36:46] < 0.5).all()


@pytest.mark.parametrize("known", [True, False])
def test_no_background_is_left_in_the_subjects_colours(known):
    background = (40, 220, 60)
    original = disk(48, 48, 30, (180, 40, 40), (96, 96))
    picture = over(original, background).astype(np.float32) / 255
    alpha = original[..., 3].astype(np.float32) / 255
    behind = np.array(background, np.float32) / 255 if known else None
    colors = foreground_colors(picture, alpha, 1.0, behind)
    np.testing.assert_array_equal(colors[alpha == 1], picture[alpha == 1])
    soft = (alpha > 0.05) & (alpha < 1)
    assert np.abs(picture - np.array((180, 40, 40)) / 255)[soft].max() > 0.5
    assert np.abs(colors - np.array((180, 40, 40)) / 255)[soft].max() < 0.05


def test_maps_change_their_size():
    maps = np.zeros((2, 20, 20), np.float32)
    maps[:, :, 10:] = 1
    resized = resize_maps(maps, 30, 40)
    assert resized.shape == (2, 30, 40)
    assert resized.min() == 0
    assert (resized[:, :, 24:] > 0.99).all()
