"""The canonical frame is sharp, whole, unoccluded and well lit, and the first one where all are alike."""

import numpy as np
import pytest
from scipy import ndimage

from ar4d.clip import Clip, Crop, choose_canonical
from ar4d.clip.canonical import rate_frames
from ar4d.errors import UserError

SIZE = 96
WHOLE = Crop(0, 0, SIZE, SIZE, SIZE)


def checkered(x: float = 48.0, radius: float = 30.0) -> np.ndarray:
    """[S, S, 4] uint8: a disk with a pattern of squares, its centre at (x, 48)."""
    ys, xs = np.mgrid[:SIZE, :SIZE] + 0.5
    alpha = np.clip(radius - np.hypot(xs - x, ys - SIZE / 2) + 0.5, 0, 1)
    squares = ((xs - x) // 6 + ys // 6) % 2
    picture = np.zeros((SIZE, SIZE, 4))
    picture[..., :3] = np.where(squares, 180, 90)[..., None]
    picture[..., 3] = 255 * alpha
    picture[alpha == 0] = 0
    return picture.round().astype(np.uint8)


def blurred(picture: np.ndarray, reach: int = 13) -> np.ndarray:
    """Smear the subject to the right, as its motion does during the exposure."""
    values = picture.astype(float) / 255
    values[..., :3] *= values[..., 3:]
    values = np.asarray(ndimage.uniform_filter1d(values, reach, axis=1))
    values[..., :3] /= np.maximum(values[..., 3:], 1e-6)
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def darkened(picture: np.ndarray, gain: float) -> np.ndarray:
    dark = picture.astype(float)
    dark[..., :3] *= gain
    return dark.round().astype(np.uint8)


def occluded(picture: np.ndarray) -> np.ndarray:
    hidden = picture.copy()
    hidden[40:] = 0
    return hidden


def clip_of(*frames: np.ndarray, crop: Crop = WHOLE) -> Clip:
    return Clip(np.stack(frames), 10.0, crop, "disk", "alpha", ())


def test_the_first_frame_stays_canonical_where_all_are_alike():
    index, reason = choose_canonical(clip_of(*[checkered(40 + k) for k in range(6)]))
    assert index == 0
    assert reason == "Frame 0 is the canonical one: no other shows the subject clearly better."


@pytest.mark.parametrize(
    ("spoiled", "quality", "words"),
    [
        (blurred(checkered()), "sharpness", "it is sharper"),
        (darkened(checkered(), 0.45), "exposure", "it is better lit"),
        (occluded(checkered()), "visibility", "it shows more of the subject"),
        (checkered(8), "completeness", "it shows all of the subject"),
    ],
)
def test_a_spoiled_first_frame_gives_way_to_a_good_one(spoiled, quality, words):
    clip = clip_of(spoiled, spoiled, checkered(), checkered(49), checkered(50))
    index, reason = choose_canonical(clip)
    assert index >= 2
    assert words in reason
    rated = [getattr(rating, quality) for rating in rate_frames(clip)]
    assert max(rated[:2]) < 0.82
    assert min(rated[2:]) > 0.95


def test_a_subject_beside_the_crops_border_is_complete_if_the_picture_goes_on():
    inner = Crop(20, 20, SIZE, SIZE + 40, SIZE + 40)
    assert [q.completeness for q in rate_frames(clip_of(checkered(8), crop=inner))] == [1.0]


def test_a_glass_subject_is_rated_like_an_opaque_one():
    frames = [blurred(checkered()), checkered(), checkered(49)]
    for frame in frames:
        frame[..., 3] = (frame[..., 3] * 0.4).round()
    assert choose_canonical(clip_of(*frames))[0] >= 1


def test_a_requested_frame_is_taken():
    clip = clip_of(*[checkered()] * 3)
    assert choose_canonical(clip, 2) == (2, "Frame 2 (counted from 0) is the canonical one, as requested.")
    with pytest.raises(UserError, match="no frame 3: choose a canonical frame from 0 to 2"):
        choose_canonical(clip, 3)


def test_a_single_frame_is_canonical():
    assert choose_canonical(clip_of(checkered()))[0] == 0
