import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from PIL import Image

from ar4d.clip.sources import choose_frames, open_source
from ar4d.errors import UserError
from tests.support.footage import moving_disk, over, write_images, write_video


class Timeline:
    """A source without pictures."""

    name = "timeline"
    width = height = 1

    def __init__(self, times: Sequence[float] | np.ndarray, last: float = 0.1) -> None:
        self.times = np.array(times, float)
        self.length = float(self.times[-1] + last)
        self.warnings: list[str] = []

    def place(self, index: int) -> str:
        return str(index)

    def read(self, indices: Sequence[int], scale: float) -> Iterator[tuple[int, np.ndarray]]:
        raise NotImplementedError


TEN_SECONDS = Timeline(np.arange(100) / 10)


def test_frames_are_even_in_time_with_both_ends():
    assert choose_frames(TEN_SECONDS, None, None, 4) == [0, 33, 66, 99]
    assert choose_frames(TEN_SECONDS, None, None, 1) == [0]
    assert choose_frames(TEN_SECONDS, 2.0, 4.0, 3) == [20, 30, 40]


def test_an_uneven_timeline_is_sampled_by_time_not_by_count():
    burst = Timeline([0, 0.01, 0.02, 0.03, 0.04, 1.0, 2.0, 3.0])
    assert choose_frames(burst, None, None, 4) == [0, 5, 6, 7]


def test_a_short_clip_yields_all_it_has():
    assert choose_frames(Timeline([0, 0.1, 0.2]), None, None, 24) == [0, 1, 2]
    assert choose_frames(Timeline([0]), None, None, 24) == [0]


def test_a_range_within_one_frame_shows_that_frame():
    assert choose_frames(Timeline([0, 1, 2], last=1), 1.2, 1.4, 5) == [1]


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        (3.0, 2.0, "must come before"),
        (2.0, 2.0, "must come before"),
        (None, 10.5, "10.00 s long"),
        (11.0, None, "10.00 s long"),
        (-1.0, None, "outside the clip"),
        (math.nan, None, "must be numbers"),
        (None, math.inf, "must be numbers"),
    ],
)
def test_impossible_ranges_are_told_with_the_clips_length(start, end, problem):
    with pytest.raises(UserError, match=problem) as caught:
        choose_frames(TEN_SECONDS, start, end, 4)
    assert "10.00 s long" in str(caught.value)


def test_no_frames_are_too_few():
    with pytest.raises(UserError, match="at least 1, not 0"):
        choose_frames(TEN_SECONDS, None, None, 0)


@pytest.mark.parametrize("fps", [0.0, -5.0, math.nan, math.inf])
def test_impossible_frame_rates_are_told(tmp_path, fps):
    with pytest.raises(UserError, match="frame rate must be a positive number"):
        open_source(tmp_path, fps)


def test_content_decides_not_the_name(tmp_path):
    frames = moving_disk(3)
    image = tmp_path / "image.mp4"
    Image.fromarray(frames[0]).save(image, format="PNG")
    assert len(open_source(image, None).times) == 1
    video = write_video(tmp_path / "video.mp4", [over(frame) for frame in frames])
    video.rename(tmp_path / "video.png")
    assert len(open_source(tmp_path / "video.png", None).times) == 3
    assert len(open_source(write_images(tmp_path / "folder.gif", frames), None).times) == 3


def test_a_missing_path_is_told(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.mp4"):
        open_source(tmp_path / "nowhere.mp4", None)
