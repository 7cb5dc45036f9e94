"""What was found in a clip that its user should know: one sentence each, with the frames it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NAMED = 4  # frames that a sentence names before it only counts the rest


@dataclass(frozen=True)
class Finding:
    """A sentence about some frames; `{frames}` in it stands for their names."""

    text: str
    frames: tuple[int, ...] = ()

    def sentence(self, labels: Sequence[str]) -> str:
        """The sentence with the frames' names in it."""
        return self.text.replace("{frames}", name_frames([labels[frame] for frame in self.frames]))


def name_frames(labels: Sequence[str]) -> str:
    """'frame 3 (0.10 s), frame 4 (0.13 s) and 7 more'."""
    named = ", ".join(labels[:_NAMED])
    return named if len(labels) <= _NAMED else f"{named} and {len(labels) - _NAMED} more"
