import numpy as np

from ar4d.clip.matting.components import drop_specks, follow_subject
from tests.support.footage import HEIGHT, WIDTH, disk


def blob(x: float, y: float, radius: float) -> np.ndarray:
    return disk(x, y, radius)[..., 3] > 127


def test_the_subject_is_followed_although_another_part_becomes_larger():
    subject = [blob(20 + 2 * k, 32, 12) for k in range(6)]
    other = [blob(78, 32, 4 + 2 * k) for k in range(6)]  # from small to larger than the subject
    found = follow_subject(np.stack([a | b for a, b in zip(subject, other, strict=True)]))
    np.testing.assert_array_equal(found, np.stack(subject))


def test_it_is_followed_backwards_too():
    subject = [blob(20, 32, 12)] * 4
    other = [blob(78, 32, r) for r in (14, 10, 5, 3)]
    found = follow_subject(np.stack([a | b for a, b in zip(subject, other, strict=True)]))
    np.testing.assert_array_equal(found, np.stack(subject))


def test_a_subject_that_jumps_is_found_again():
    masks = np.stack([blob(20, 32, 10), blob(70, 32, 10) | blob(10, 8, 4)])
    np.testing.assert_array_equal(follow_subject(masks)[1], blob(70, 32, 10))


def test_a_narrow_gap_does_not_cut_a_limb_off():
    size = 256
    mask = np.zeros((1, size, size), bool)
    mask[0, 60:200, 60:120] = True
    mask[0, 60:90, 122:180] = True  # an arm, two pixels from the body
    mask[0, 5:25, 230:250] = True
    found = follow_subject(mask)
    assert found[0, 70, 150]
    assert not found[0, 10, 240]


def test_empty_frames_stay_empty_and_do_not_lose_the_subject():
    empty = np.zeros((HEIGHT, WIDTH), bool)
    both = blob(20, 32, 10) | blob(78, 32, 12)
    found = follow_subject(np.stack([blob(20, 32, 14), empty, both]))
    assert not found[1].any()
    np.testing.assert_array_equal(found[2], blob(20, 32, 10))
    assert not follow_subject(np.zeros((2, 8, 8), bool)).any()


def test_specks_go_and_parts_stay():
    mask = blob(20, 32, 12) | blob(70, 32, 6)
    speckled = mask.copy()
    speckled[3, 3] = True
    np.testing.assert_array_equal(drop_specks(speckled[None])[0], mask)
