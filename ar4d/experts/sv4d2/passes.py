"""How a clip of any length is cut into passes of T frames.

Each pass but the first takes, as reference views, its first frame's views as the pass before made them, so
passes overlap by at least one frame. A frame that two passes draw is the later one's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pass:
    """T frames of a clip that are drawn together."""

    start: int
    length: int
    """Frames of the clip that are drawn: T, or all there are where the clip is shorter."""
    kept: range
    """Frames of the clip whose views no later pass draws again."""

    @property
    def drawn(self) -> range:
        return range(self.start, self.start + self.length)


def plan(num_frames: int, frames_per_pass: int) -> list[Pass]:
    """The passes over a clip: every T - 1 frames while they fit, the last so that it ends with the clip.

    Args:
        num_frames: F, at least 1.
        frames_per_pass: T, at least 2.
    """
    last = max(num_frames - frames_per_pass, 0)
    starts = [*range(0, last, frames_per_pass - 1), last]
    ends = [*starts[1:], num_frames]
    length = min(frames_per_pass, num_frames)
    return [Pass(start, length, range(start, end)) for start, end in zip(starts, ends, strict=True)]
