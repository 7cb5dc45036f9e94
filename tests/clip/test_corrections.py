"""Corrections by hand: their words, what is refused, and a clip that is cut out with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from ar4d.clip import ClipSettings, Corrections, KeyBox, Mark, load_clip
from ar4d.clip.loading import finish, prepare
from ar4d.errors import UserError
from tests.support.footage import RED, disk, over, write_images, write_video

BLUE = (30, 60, 200)
SOME = Corrections(
    (
        Mark(3, ((0.52, 0.4),), keep=True),
        Mark(1, ((0.1, 0.2), (0.15, 0.25)), keep=False, radius=0.03),
    ),
    (KeyBox(2, 0.1, 0.2, 0.8, 0.95),),
)


def test_options_are_read_as_they_are_written() -> None:
    words = SOME.options()
    assert words == [
        "--keep", "3:0.52,0.4", "--drop", "1:0.1,0.2;0.15,0.25@0.03", "--box", "2:0.1,0.2,0.8,0.95",
    ]  # fmt: skip
    named = {
        name: [w for n, w in zip(words[::2], words[1::2], strict=True) if n == f"--{name}"]
        for name in ("keep", "drop", "box")
    }
    assert Corrections.from_options(**named) == SOME


def test_they_are_stored_with_the_clips_settings() -> None:
    settings, stored = ClipSettings(corrections=SOME), TypeAdapter(ClipSettings)
    assert stored.validate_json(stored.dump_json(settings)) == settings
    assert not settings.of_scene().corrections


@pytest.mark.parametrize(
    ("option", "word"), [("keep", "x:0.1,0.2"), ("drop", "3"), ("box", "3:0.1,0.2"), ("keep", "3:0.1;0.2")]
)
def test_a_word_that_cannot_be_read_is_one_sentence(option: str, word: str) -> None:
    words: dict[str, list[str]] = {"keep": [], "drop": [], "box": []} | {option: [word]}
    with pytest.raises(UserError, match=f"^--{option} {word} cannot be read: it is FRAME:"):
        Corrections.from_options(**words)


@pytest.mark.parametrize(
    ("corrections", "sentence"),
    [
        (
            Corrections((Mark(9, ((0.5, 0.5),), True),)),
            "correction in frame 9, but the clip has 4 frames now",
        ),
        (Corrections((Mark(0, ((0.5, 0.5),), True),)), "correction in frame 0, but the clip has 4 frames"),
        (Corrections((Mark(2, ((1.2, 0.5),), True),)), "keep click at 1.2, 0.5 in frame 2 lies outside"),
        (
            Corrections((Mark(2, ((float("nan"), 0.5),), False),)),
            "drop click at nan, 0.5 in frame 2 lies outside",
        ),
        (Corrections((Mark(2, (), True),)), "keep stroke in frame 2 has no points"),
        (Corrections((Mark(2, ((0.5, 0.5),), True, radius=0.0),)), "radius of a keep stroke in frame 2"),
        (
            Corrections(boxes=(KeyBox(2, 0.4, 0.1, 0.3, 0.9),)),
            "The box 0.4, 0.1, 0.3, 0.9 in frame 2 does not fit",
        ),
        (
            Corrections((Mark(2, ((0.5, 0.5),), True), Mark(2, ((0.505, 0.5),), False))),
            "In frame 2, the place 0.50, 0.50 is to be kept and to be dropped",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(corrections: Corrections, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as raised:
        corrections.check(4)
    assert "\n" not in str(raised.value)


def test_the_same_place_may_be_kept_in_one_frame_and_dropped_in_another() -> None:
    Corrections((Mark(1, ((0.5, 0.5),), True), Mark(2, ((0.5, 0.5),), False))).check(2)


def test_they_move_with_their_frames() -> None:
    moved = SOME.renumbered({1: 2, 3: 5})
    assert moved.frames == [2, 5]
    assert (SOME.count, moved.count) == (3, 2)


def pair(frame: int) -> np.ndarray:
    """A red disk that moves to the right, with a blue one attached to it: RGBA [64, 96, 4]."""
    red, blue = disk(30 + 2 * frame, color=RED), disk(50 + 2 * frame, radius=9, color=BLUE)
    share = blue[..., 3:] / 255
    colors = np.round(red[..., :3] * (1 - share) + blue[..., :3] * share)
    colors[(blue[..., 3] > 0) & (red[..., 3] == 0)] = BLUE
    return np.dstack([colors, np.maximum(red[..., 3], blue[..., 3])]).astype(np.uint8)


@pytest.fixture
def pair_folder(tmp_path: Path) -> Path:
    return write_images(tmp_path / "pair", [pair(k) for k in range(6)])


DROP_BLUE = Corrections((Mark(1, ((54 / 96, 0.5),), keep=False),))


def test_a_dropped_part_leaves_every_frame_of_the_clip(pair_folder: Path) -> None:
    settings = ClipSettings(framing="whole", corrections=DROP_BLUE)
    clip = load_clip(pair_folder, settings, 96)
    for k, frame in enumerate(clip.frames):
        red = disk(30 + 2 * k)[..., 3] > 127
        red &= disk(50 + 2 * k, radius=9)[..., 3] < 128  # what the blue one covers
        seen = frame[16:80, :, 3] > 127
        assert (seen & red).sum() > 0.97 * red.sum(), k
        assert (seen & ~red).sum() < 0.06 * red.sum(), k


def test_a_correction_again_works_only_on_frames_it_touches(pair_folder: Path) -> None:
    settings = ClipSettings(framing="whole", corrections=DROP_BLUE)
    prepared = prepare(pair_folder, settings)
    first = finish(prepared, settings, 96)
    seen: list[int] = []
    count = lambda task, number, total, picture: seen.append(number)  # noqa: E731
    again = finish(prepared, settings, 96, count)
    assert seen == []
    np.testing.assert_array_equal(first.clip.frames, again.clip.frames)
    # A stroke in the last frame reaches back half-way to the first correction: frames 4 to 6.
    more = Mark(6, ((40 / 96, 0.5), (40 / 96, 0.52)), keep=False, radius=0.02)
    marked = Corrections((*DROP_BLUE.marks, more))
    finish(prepared, dataclasses.replace(settings, corrections=marked), 96, count)
    assert 1 <= len(seen) <= 3


def test_replaying_gives_the_same_frames(pair_folder: Path) -> None:
    settings = ClipSettings(framing="whole", corrections=DROP_BLUE)
    np.testing.assert_array_equal(
        load_clip(pair_folder, settings, 96).frames, load_clip(pair_folder, settings, 96).frames
    )


def test_corrections_in_one_picture(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "one", [pair(0)])
    clip = load_clip(folder, ClipSettings(framing="whole", corrections=DROP_BLUE), 96)
    alpha = clip.frames[0, 16:80, :, 3] > 127
    assert alpha[32, 24]
    assert not alpha[32, 54]


def test_a_clip_that_has_become_shorter_is_one_sentence(pair_folder: Path) -> None:
    late = Corrections((Mark(6, ((0.5, 0.5),), True),))
    with pytest.raises(UserError, match="There is a correction in frame 6, but the clip has 3 frames now"):
        load_clip(pair_folder, ClipSettings(num_frames=3, corrections=late), 96)


def test_a_kept_background_cannot_be_corrected(pair_folder: Path) -> None:
    settings = ClipSettings(background="none", framing="whole", corrections=DROP_BLUE)
    with pytest.raises(UserError, match="The corrections need a cut-out, and the background is kept"):
        load_clip(pair_folder, settings, 96)


def test_a_box_that_cuts_the_subject_is_said(tmp_path: Path) -> None:
    path = write_video(tmp_path / "disk.mp4", [over(disk(30 + 2 * k)) for k in range(5)])
    narrow = Corrections(boxes=(KeyBox(1, 0.1, 0.0, 0.33, 1.0),))  # its right side crosses the disk
    said = load_clip(path, ClipSettings(corrections=narrow), 64).warnings
    assert any(w.startswith("The box cuts the subject in frame 1 (0.00 s), frame 2") for w in said)
    wide = Corrections(boxes=(KeyBox(1, 0.1, 0.1, 0.55, 0.9),))
    assert load_clip(path, ClipSettings(corrections=wide), 64).warnings == ()


def test_a_click_on_a_small_gap_takes_the_gap_alone(tmp_path: Path) -> None:
    """A gap narrower than the click; a patch of the same colour elsewhere stays, and so does the rest."""

    def picture(frame: int) -> np.ndarray:
        seen = disk(40 + frame, color=(70, 45, 30))
        for x, y in ((40 + frame, 46), (40 + frame, 24)):  # the gap and the patch
            seen[y - 1 : y + 2, x - 4 : x + 5, :3] = 250
        return seen

    drop = Corrections((Mark(1, ((40.5 / 96, 46.5 / 64),), keep=False, radius=0.04),))
    folder = write_images(tmp_path / "gap", [picture(k) for k in range(4)])
    clip = load_clip(folder, ClipSettings(framing="whole", corrections=drop), 96)
    for k, frame in enumerate(clip.frames):
        alpha, whole = frame[16:80, :, 3] > 127, picture(k)[..., 3] > 127
        assert not alpha[46, 38 + k : 43 + k].any(), k
        assert alpha[24, 36 + k : 45 + k].all(), k
        assert (alpha & whole).sum() > 0.93 * whole.sum(), k
