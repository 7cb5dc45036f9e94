"""Frames that are made when they are asked for."""

import numpy as np
import pytest
import torch

from ar4d.clip.streamed import StreamedFrames
from ar4d.images import on_white, to_float

CPU = torch.device("cpu")
FRAMES = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 4), dtype=np.uint8)


def test_they_are_those_of_the_whole_clip():
    streamed = StreamedFrames(FRAMES, lambda frame: on_white(to_float(frame)), CPU)
    whole = torch.from_numpy(on_white(to_float(FRAMES)))
    assert len(streamed) == 5
    assert torch.equal(torch.stack(list(streamed)), whole)
    assert torch.equal(streamed[-1], whole[4])
    with pytest.raises(IndexError, match="frame 5 of 5"):
        streamed[5]


def test_as_many_are_kept_as_there_is_room_for():
    made = []

    def convert(frame):
        made.append(frame)
        return to_float(frame)

    streamed = StreamedFrames(FRAMES, convert, CPU, kept_bytes=2 * 6 * 6 * 4 * 4)
    made.clear()
    for k in (0, 1, 0, 1):
        assert torch.equal(streamed[k], torch.from_numpy(to_float(FRAMES[k])))
    assert len(made) == 2
    assert streamed[2] is streamed[2]
    assert streamed[0] is not None
    assert len(made) == 4  # the third took the place of the first
