"""The back of an object that is seen from the front."""

import numpy as np
import pytest
import torch

from ar4d.cameras import RADIUS
from ar4d.experts.embedded.back import (
    BACK,
    FROM_THE_FRONT,
    FROM_THE_SIDE,
    frontality,
    membrane,
    with_back_from_outline,
)
from ar4d.experts.embedded.surface import ViewMaps
from ar4d.experts.embedded.symmetry import upright_plane

SIZE = 48


def planes(*azimuths_deg: float) -> torch.Tensor:
    return torch.tensor([upright_plane(azimuth, 0.1) for azimuth in azimuths_deg])


@pytest.mark.parametrize(("azimuth_deg", "expected"), [(0.0, 1.0), (15.0, 1.0), (90.0, 0.0), (75.0, 0.0)])
def test_a_front_is_frontal_and_a_flank_is_not(azimuth_deg, expected):
    assert frontality(planes(azimuth_deg), torch.ones(1)) == expected


def test_frontality_grows_between_with_the_mean_of_the_hypotheses():
    found, weights = planes(20.0, 60.0), torch.tensor([0.75, 0.25])
    mean = 0.75 * np.cos(np.radians(40.0)) + 0.25 * np.cos(np.radians(120.0))
    expected = (mean - FROM_THE_SIDE) / (FROM_THE_FRONT - FROM_THE_SIDE)
    assert 0 < expected < 1
    assert frontality(found, weights) == pytest.approx(expected, abs=1e-6)


def test_nothing_is_known_without_a_plane():
    assert frontality(torch.zeros(1, 4), torch.ones(1)) == 0


def relaxed(colors: np.ndarray, known: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The membrane by Jacobi iterations in float64."""
    result = np.where(known, colors, 0.0)
    free = inside & ~known
    for _ in range(6000):
        total, count = np.zeros_like(result), np.zeros(inside.shape)
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            there = np.roll(inside, step, axis)
            total += np.roll(result, step, axis + 1) * there
            count += there
        result = np.where(free, total / np.maximum(count, 1), result)
    return result


def test_the_membrane_is_the_limit_of_averaging_neighbours():
    random = np.random.default_rng(0)
    inside = np.zeros((16, 18), bool)
    inside[2:13, 3:15] = True
    inside[5:8, 6:9] = False  # a hole
    known = inside & (random.random(inside.shape) < 0.15)
    colors = random.random((3, 16, 18))
    found = membrane(torch.from_numpy(colors), known, inside).numpy()
    np.testing.assert_allclose(found[:, inside], relaxed(colors, known, inside)[:, inside], atol=1e-6)
    np.testing.assert_array_equal(found[:, ~inside], colors[:, ~inside])


def test_a_part_without_a_known_pixel_is_dark_and_finite():
    inside, known = np.ones((6, 6), bool), np.zeros((6, 6), bool)
    assert membrane(torch.rand(3, 6, 6), known, inside).abs().max() < 1e-6


def face() -> tuple[ViewMaps, torch.Tensor]:
    """A green ball with a red nose whose prediction has the nose on its back, too; and its picture."""
    line = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    away = (line[:, None].square() + line.square()).sqrt()
    alpha = (away < 0.7).float()
    rgb = torch.tensor([0.1, 0.6, 0.1])[:, None, None].expand(3, SIZE, SIZE).clone()
    rgb[:, away < 0.25] = torch.tensor([0.9, 0.1, 0.1])[:, None]
    maps = ViewMaps(alpha.expand(4, -1, -1), torch.full((4, SIZE, SIZE), RADIUS), rgb.expand(4, -1, -1, -1))
    return maps, torch.cat([rgb * alpha, alpha[None]])


def test_the_back_of_a_face_has_no_nose():
    maps, picture = face()
    painted = with_back_from_outline(maps, picture, 1.0)
    inside = maps.alpha[BACK] > 0.5
    green = torch.tensor([0.1, 0.6, 0.1])[:, None]
    assert (painted.rgb[BACK][:, inside] - green).abs().max() < 1e-5
    for view in (0, 1, 3):
        assert torch.equal(painted.rgb[view], maps.rgb[view])


def test_the_outline_of_the_back_is_the_pictures_mirrored():
    maps, picture = face()
    picture = picture.clone()
    picture[0, :, : SIZE // 2] = 0.8 * picture[3, :, : SIZE // 2]  # the left half is reddish
    painted = with_back_from_outline(maps, picture, 1.0).rgb[BACK]
    middle, reach = SIZE // 2, round(0.6 * SIZE / 2)
    assert painted[0, middle, middle + reach] > 0.7 > 0.2 > painted[0, middle, middle - reach]


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_share_of_the_outline_is_blended_in(share):
    maps, picture = face()
    middle = SIZE // 2
    painted = with_back_from_outline(maps, picture, share).rgb[BACK, :, middle, middle]
    expected = (1 - share) * torch.tensor([0.9, 0.1, 0.1]) + share * torch.tensor([0.1, 0.6, 0.1])
    torch.testing.assert_close(painted, expected, atol=1e-4, rtol=0)


def test_an_object_too_thin_for_a_rim_keeps_its_back():
    maps, picture = face()
    thin = picture * 0
    thin[:, :, 20:22] = picture[:, :, 20:22]
    assert with_back_from_outline(maps, thin, 1.0) is maps
