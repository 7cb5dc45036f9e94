"""The measured motion between a clip's frames, against shifts that are known."""

import numpy as np
import pytest

from ar4d.clip.motion import TOO_FAST, measure_motion


def textured(shift: float, size: int = 192) -> np.ndarray:
    """A textured disk of 80 pixels, moved to the right: [S, S, 4] uint8."""
    y, x = np.mgrid[:size, :size] + 0.5
    inside = np.hypot(x - 60 - shift, y - 96) < 40
    shade = 128 + 60 * np.sin((x - shift) / 4) * np.cos(y / 5) + 30 * np.sin((x - shift + y) / 9)
    return np.dstack([shade, 0.8 * shade, 255 - shade, 255 * inside]).round().astype(np.uint8)


@pytest.mark.parametrize("step", [0, 4, 8, 16])
def test_the_motion_is_measured_in_shares_of_the_subject(step: int) -> None:
    motion = measure_motion(np.stack([textured(k * step) for k in range(4)]))
    np.testing.assert_allclose(motion.steps, step / 80, atol=0.03)


def test_the_frames_needed_bring_the_motion_down() -> None:
    motion = measure_motion(np.stack([textured(k * 20) for k in range(4)]))
    needed = motion.frames_needed(4)
    assert 1 + 3 * 0.2 / TOO_FAST < needed < 3 + 3 * 0.3 / TOO_FAST
    assert measure_motion(np.stack([textured(k) for k in range(4)])).frames_needed(4) == 4


def test_a_gap_shares_its_motion() -> None:
    frames = np.stack([textured(0), textured(8), textured(24)])
    assert measure_motion(frames, (1, 2, 4)).steps == pytest.approx([0.1, 0.1], abs=0.03)


def test_one_frame_and_empty_frames_do_not_move() -> None:
    assert measure_motion(textured(0)[None]).fastest == 0
    assert measure_motion(np.zeros((3, 32, 32, 4), np.uint8)).fastest == 0
