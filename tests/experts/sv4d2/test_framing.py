import numpy as np
import pytest
import torch

from ar4d.errors import UserError
from ar4d.experts.sv4d2 import framing
from ar4d.images import on_white
from tests.conftest import ball_frames

SIZE = 64


@pytest.fixture
def clip():
    return torch.from_numpy(ball_frames(3, SIZE)).float() / 255


def test_the_farthest_pixel_of_the_whole_clip_lies_at_nine_tenths(clip):
    zoom = framing.find_zoom(clip[..., 3], 96)
    pictures = framing.zoomed(clip, zoom)
    assert pictures.shape == (3, 3, 96, 96)
    subject = (pictures < 0.95).any(1).any(0).nonzero()
    farthest = max(48 - int(subject.min()), int(subject.max()) + 1 - 48)
    assert farthest == pytest.approx(0.9 * 48, abs=2)  # the resize softens the rim


def test_a_view_comes_back_where_the_clip_is(clip):
    zoom = framing.find_zoom(clip[..., 3], 240)
    drawn = framing.zoomed(clip, zoom)
    back = framing.restored(framing.cut_out(drawn), zoom)
    assert back.shape == clip.shape
    assert (on_white(back) - on_white(clip)).abs().mean() < 0.005
    assert ((back[..., 3] > 0.5) == (clip[..., 3] > 0.5)).float().mean() > 0.98


def test_cutting_out_gives_the_picture_again_on_white(clip):
    drawn = framing.zoomed(clip, framing.find_zoom(clip[..., 3], 96))
    rgba = framing.cut_out(drawn)
    assert (on_white(rgba) - drawn.permute(0, 2, 3, 1)).abs().max() < 0.04  # 8 grey levels at the rim
    assert rgba[:, 0, 0, 3].max() == 0


def test_noise_on_the_white_and_a_second_thing_are_no_subject():
    picture = torch.ones(1, 3, 40, 40)
    picture[:, :, 10:30, 12:28] = 0.3
    picture[:, :, 2:4, 2:4] = 0.5
    picture[:, :, :, 36:] -= 3 / 255
    alpha = framing.cut_out(picture)[0, ..., 3]
    assert alpha[15, 20] == 1
    assert alpha[3, 3] == 0
    assert alpha[:, 37:].max() == 0


def test_a_subject_that_leaves_the_picture_is_framed_by_what_is_there():
    alpha = torch.zeros(2, SIZE, SIZE)
    alpha[0, 20:40, 20:40] = 1
    alpha[1, 20:40, 50:] = 1
    zoom = framing.find_zoom(alpha, 96)
    assert zoom.half == SIZE // 2
    assert zoom.side > SIZE


def test_faint_specks_far_out_do_not_count():
    alpha = torch.zeros(1, SIZE, SIZE)
    alpha[0, 24:40, 24:40] = 1
    alpha[0, 0, 0] = 0.02
    assert framing.find_zoom(alpha, 96).half == 8


def test_a_clip_that_shows_nothing_is_refused():
    with pytest.raises(UserError, match="every pixel is transparent; cut it out again") as refusal:
        framing.find_zoom(torch.zeros(2, 8, 8), 96)
    assert str(refusal.value).count(". ") == 0


@pytest.mark.parametrize("size", [47, 48])
def test_odd_and_even_pictures_stay_in_place(size):
    clip = torch.from_numpy(ball_frames(1, size)).float() / 255
    zoom = framing.find_zoom(clip[..., 3], 5 * size)
    back = framing.restored(framing.cut_out(framing.zoomed(clip, zoom)), zoom)
    ys, xs = np.mgrid[:size, :size]
    for axis in (ys, xs):
        centre = [float((a[0, ..., 3].numpy() * axis).sum() / a[0, ..., 3].sum()) for a in (clip, back)]
        assert centre[0] == pytest.approx(centre[1], abs=0.3)
