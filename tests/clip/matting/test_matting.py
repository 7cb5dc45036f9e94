import numpy as np
import pytest

from ar4d.clip.framing import whole_crop, window_of
from ar4d.clip.matting import Matte, Selection, choose_matte
from ar4d.errors import UserError
from tests.support.footage import disk, over, room, room_masks

SIZE = (96, 96)


def opaque(pictures: list[np.ndarray]) -> np.ndarray:
    """[F, h, w, 4] with full alpha."""
    return np.stack([np.dstack([p, np.full(p.shape[:2], 255, np.uint8)]) for p in pictures])


def choose(survey: np.ndarray, background: str = "auto", largest_component: bool = True) -> Matte:
    return choose_matte(survey, background, 0.5, Selection(largest_component), "clip.mp4")  # type: ignore[arg-type]


def cut_whole(matte: Matte, frame: int, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    side = picture.shape[0]
    return matte.cut_out(frame, picture, window_of(whole_crop(side, side, ""), side, side))


def test_alpha_comes_first_and_is_taken_as_it_is():
    survey = np.stack([disk(40, 48, 20, size=SIZE), disk(50, 48, 20, size=SIZE)])
    matte = choose(survey)
    assert matte.name == "alpha"
    colors, alpha = cut_whole(matte, 1, survey[1])
    np.testing.assert_allclose(alpha, survey[1, ..., 3] / 255, atol=1e-6)
    np.testing.assert_allclose(colors, survey[1, ..., :3] / 255, atol=1e-6)


def test_alpha_that_a_codec_made_slightly_less_than_opaque_is_none():
    survey = opaque([over(disk(40, 48, 20, size=SIZE))])
    survey[..., 3] = 253
    assert choose(survey).name == "plain background"
    with pytest.raises(UserError, match=r"clip\.mp4 has no transparent pixels"):
        choose(survey, "alpha")


def test_a_plain_background_is_keyed():
    survey = opaque([over(disk(40 + k, 48, 20, size=SIZE), (30, 60, 200)) for k in range(3)])
    matte = choose(survey)
    assert matte.name == "plain background"
    original = disk(41, 48, 20, size=SIZE)
    colors, alpha = cut_whole(matte, 1, survey[1])
    assert np.abs(alpha - original[..., 3] / 255).mean() < 0.01
    visible = alpha > 0.1
    assert np.abs(colors[visible] - np.array((200, 30, 40)) / 255).max() < 0.12


def test_only_the_subject_is_kept_if_that_is_wanted():
    picture = over(disk(30, 48, 20, size=SIZE))
    picture = over(disk(80, 20, 8, size=SIZE), picture)
    survey = opaque([picture])
    assert choose(survey).masks[0, 20, 80] == 0
    assert choose(survey, largest_component=False).masks[0, 20, 80] == 1


def test_a_picture_between_bars_is_not_taken_for_a_subject():
    bars = np.zeros((240, 480, 3), np.uint8)
    bars[:, 100:420] = room(1)[0]
    assert choose(opaque([bars])).name == "u2netp"
    assert choose(opaque([bars]), "plain").name == "plain background"


def test_a_wall_with_a_shadow_is_not_plain_although_its_border_is():
    ys, xs = np.mgrid[:240, :320]
    light = 30 * np.exp(-((xs - 160) ** 2 + (ys - 120) ** 2) / 2 / 60.0**2)  # fades before the border
    wall = np.clip(190 + light[..., None], 0, 255) * np.ones(3)
    ball = disk(160, 120, 35, (150, 30, 30), (320, 240))
    survey = opaque([over(ball, wall)])
    assert choose(survey, "plain").masks[0, 120, 100] == 1  # the light counts as the subject's
    matte = choose(survey)
    assert matte.name == "u2netp"
    assert np.mean((matte.masks[0] > 0.5) != (ball[..., 3] > 127)) < 0.01


def test_everything_else_is_left_to_the_network():
    pictures, masks = room(3, (320, 320)), room_masks(3, (320, 320))
    survey = opaque(pictures)
    matte = choose(survey)
    assert matte.name == "u2netp"
    for frame in range(3):
        colors, alpha = cut_whole(matte, frame, survey[frame])
        assert np.mean((alpha > 0.5) != (masks[frame] > 0.5)) < 0.003
        assert ((alpha > 0.02) & (alpha < 0.98)).mean() < 0.03  # sharp
        # The wall is greyish, the ball red and dark: no grey rim may be left.
        rim = (alpha > 0.05) & (alpha < 0.95)
        assert colors[rim][:, 2].mean() < 0.3


def test_nothing_is_cut_out_where_nothing_should_be():
    survey = opaque(room(1, (64, 64)))
    matte = choose(survey, "none")
    assert matte.name == "none"
    assert matte.masks.min() == 1
