"""The gate on footage whose faults are known."""

import numpy as np
import pytest

from ar4d.imagine.gate import GateLimits, Verdict, explain_refusal, judge, measure
from tests.support.footage import disk, over, room, room_masks

SIZE = (192, 128)


def clip(pictures) -> np.ndarray:
    return np.stack([over(picture) for picture in pictures])


def rolling(num_frames: int = 8, step: float = 4.0, radius: float = 24.0) -> np.ndarray:
    """A disk with stripes that moves to the right before white."""
    pictures = []
    for k in range(num_frames):
        picture = disk(60 + step * k, 64, radius, size=SIZE)
        picture[..., 1] += ((np.arange(SIZE[0]) // 6 + k) % 2 * 60).astype(np.uint8)[None, :] * (
            picture[..., 3] > 0
        )
        pictures.append(picture)
    return clip(pictures)


def complaint(frames: np.ndarray) -> Verdict:
    verdict = judge(frames)
    assert not verdict.accepted
    assert verdict.remedies
    assert verdict.message.endswith(".")
    assert ". " not in verdict.message
    return verdict


def test_a_good_clip_passes_and_is_told_why():
    verdict = judge(rolling())
    assert verdict.accepted, verdict.message
    assert verdict.message.startswith("The subject stays within the picture, the background still (0.0%")
    assert verdict.remedies == ()


def test_a_subject_at_the_border_is_refused():
    verdict = complaint(rolling(step=18))
    assert "touches the border in 2 of 8 frames" in verdict.message
    assert 'add "seen whole, from afar"' in verdict.remedies


def test_a_jump_of_the_box_is_refused():
    frames = rolling()
    frames[5:] = rolling(radius=32)[5:]
    assert "box jumps by" in complaint(frames).message


def test_a_leap_is_refused():
    frames = rolling(step=1)
    frames[5:] = np.roll(frames[5:], 40, axis=2)
    assert "leaps by 2" in complaint(frames).message


def test_a_cut_is_refused():
    masks = np.asarray((rolling() < 240).any(axis=-1)).astype(np.float32)
    frames = rolling()
    frames[4:][masks[4:] == 0] = (90, 140, 190)
    limits = GateLimits()
    assert measure(frames, masks, limits).background_change == pytest.approx(0.45, abs=0.02)
    assert measure(rolling(), masks, limits).background_change < 0.01


def test_company_is_refused():
    pictures = []
    for k in range(6):
        picture = disk(50 + 3 * k, 64, 22, size=SIZE)
        other = disk(150, 64, 16, size=SIZE)
        picture[other[..., 3] > 0] = other[other[..., 3] > 0]
        pictures.append(picture)
    assert "A second object of 5" in complaint(clip(pictures)).message


def test_a_still_picture_is_refused():
    verdict = complaint(np.repeat(rolling(1), 6, axis=0))
    assert "Next to nothing moves" in verdict.message
    assert verdict.remedies == ("say what the subject does",)


def test_a_speck_is_refused():
    assert "covers only" in complaint(rolling(radius=9, step=2)).message


def test_an_empty_clip_is_refused():
    verdict = complaint(np.full((4, 64, 64, 3), 255, np.uint8))
    assert "no subject can be distinguished from the background in 4 of 4 frames" in verdict.message.lower()
    assert verdict.measures is None


@pytest.mark.parametrize("pan", [1.5, 8.0])
def test_a_moving_camera_is_measured_even_if_it_moves_slowly(pan):
    """With the masks given: what the network cuts out of such a room is tested elsewhere."""
    limits = GateLimits()
    still = measure(np.stack(room(6)), room_masks(6), limits)
    moving = measure(np.stack(room(6, pan=pan)), room_masks(6), limits)
    assert still.background_shift < limits.background_shift / 2
    assert moving.background_shift > limits.background_shift


def test_the_better_of_two_good_clips_has_the_smaller_penalty():
    assert judge(rolling(step=4)).penalty < judge(rolling(step=8)).penalty


def test_a_refusal_of_all_names_what_was_wrong_and_what_to_do():
    verdicts = [judge(rolling(step=18)), judge(np.repeat(rolling(1), 6, axis=0))]
    sentence = explain_refusal(verdicts)
    assert sentence.startswith("All 2 clips were refused: the subject touches the border in 2 of 8 frames")
    assert "next to nothing moves" in sentence
    assert 'add "seen whole, from afar", ' in sentence
    assert sentence.endswith("or try more seeds (--seeds), or take the best as it is (--no-gate).")
    assert explain_refusal(verdicts[:1]).startswith("The clip was refused: ")
