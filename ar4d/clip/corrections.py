"""Corrections of a cut-out by hand: places to keep or to drop, and boxes, each in one frame of the clip."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ar4d.errors import UserError

RADIUS = 0.012  # of a click, in shares of the picture's longer side
SMALLEST_BOX = 0.03  # side of a box in shares of the picture

_FORMS = {
    "keep": "FRAME:X,Y (a click) or FRAME:X,Y;X,Y;…@RADIUS (a stroke), as --keep 3:0.52,0.40",
    "drop": "FRAME:X,Y (a click) or FRAME:X,Y;X,Y;…@RADIUS (a stroke), as --drop 3:0.52,0.40",
    "box": "FRAME:LEFT,TOP,RIGHT,BOTTOM, as --box 3:0.2,0.1,0.8,0.9",
}


@dataclass(frozen=True)
class Mark:
    """A click or a brush stroke in one frame."""

    frame: int
    """Number of the frame among the chosen ones, from 1, as warnings and the page count them."""
    points: tuple[tuple[float, float], ...]
    """The stroke's points (one for a click): x and y in shares of the picture's width and height."""
    keep: bool
    """Whether the subject covers this place; else it does not."""
    radius: float = RADIUS
    """Half the stroke's width, in shares of the picture's longer side."""


@dataclass(frozen=True)
class KeyBox:
    """A box in one frame: outside of it nothing belongs to the subject."""

    frame: int
    """Number of the frame among the chosen ones, from 1."""
    left: float
    top: float
    right: float
    bottom: float
    """The sides, in shares of the picture's width and height."""

    @property
    def sides(self) -> tuple[float, float, float, float]:
        """left, top, right and bottom."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class Corrections:
    """What a user has corrected. Optical flow carries every correction to the other frames."""

    marks: tuple[Mark, ...] = ()
    boxes: tuple[KeyBox, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.marks or self.boxes)

    @property
    def frames(self) -> list[int]:
        """The numbers of the corrected frames, ascending."""
        return sorted({one.frame for one in (*self.marks, *self.boxes)})

    @property
    def count(self) -> int:
        """How many marks and boxes there are."""
        return len(self.marks) + len(self.boxes)

    def renumbered(self, numbers: Mapping[int, int]) -> Corrections:
        """The corrections at the new numbers of their frames; those of frames without one are left out."""
        return Corrections(
            tuple(replace(m, frame=numbers[m.frame]) for m in self.marks if m.frame in numbers),
            tuple(replace(b, frame=numbers[b.frame]) for b in self.boxes if b.frame in numbers),
        )

    def check(self, num_frames: int) -> None:
        """Check the corrections against a clip.

        Args:
            num_frames: how many frames are chosen.

        Raises:
            UserError: one lies outside the clip or the picture, or two contradict each other.
        """
        for frame in self.frames:
            if not 1 <= frame <= num_frames:
                frames = "one frame" if num_frames == 1 else f"{num_frames} frames"
                raise UserError(
                    f"There is a correction in frame {frame}, but the clip has {frames} now: remove that "
                    "correction, or choose the frames as before."
                )
        for mark in self.marks:
            _check_mark(mark)
        for box in self.boxes:
            _check_box(box)
        _check_contradictions(self.marks)

    def options(self) -> list[str]:
        """The corrections as options of the command line, one word each."""
        words = []
        for mark in self.marks:
            points = ";".join(f"{_number(x)},{_number(y)}" for x, y in mark.points)
            width = "" if mark.radius == RADIUS else f"@{_number(mark.radius)}"
            words += ["--keep" if mark.keep else "--drop", f"{mark.frame}:{points}{width}"]
        for box in self.boxes:
            words += ["--box", f"{box.frame}:{','.join(_number(side) for side in box.sides)}"]
        return words

    @staticmethod
    def from_options(keep: Iterable[str], drop: Iterable[str], box: Iterable[str]) -> Corrections:
        """Read what `options` writes.

        Raises:
            UserError: a word does not have the form of its option.
        """
        marks = [_read_mark("keep", word) for word in keep] + [_read_mark("drop", word) for word in drop]
        return Corrections(tuple(marks), tuple(_read_box(word) for word in box))


def _check_mark(mark: Mark) -> None:
    what = "keep" if mark.keep else "drop"
    if not mark.points:
        raise UserError(f"A {what} stroke in frame {mark.frame} has no points: remove it.")
    for x, y in mark.points:
        if not (0 <= x <= 1 and 0 <= y <= 1):  # not a number is refused as well
            raise UserError(
                f"The {what} click at {x:g}, {y:g} in frame {mark.frame} lies outside the picture: both "
                "numbers are shares of its width and height, between 0 and 1."
            )
    if not 0 < mark.radius <= 0.5:
        raise UserError(
            f"The radius of a {what} stroke in frame {mark.frame} must lie between 0 and 0.5 (shares of the "
            f"picture's longer side), not {mark.radius:g}."
        )


def _check_box(box: KeyBox) -> None:
    inside = all(0 <= side <= 1 for side in box.sides)
    if not inside or box.right - box.left < SMALLEST_BOX or box.bottom - box.top < SMALLEST_BOX:
        sides = ", ".join(f"{side:g}" for side in box.sides)
        raise UserError(
            f"The box {sides} in frame {box.frame} does not fit: left, top, right and bottom are shares of "
            f"the picture between 0 and 1, at least {SMALLEST_BOX:g} apart."
        )


def _check_contradictions(marks: Sequence[Mark]) -> None:
    """Refuse places of one frame that are both kept and dropped."""
    for keep in (mark for mark in marks if mark.keep):
        for drop in (mark for mark in marks if not mark.keep and mark.frame == keep.frame):
            nearest = min((math.dist(one, other), one) for one in keep.points for other in drop.points)
            if nearest[0] < min(keep.radius, drop.radius):
                x, y = nearest[1]
                raise UserError(
                    f"In frame {keep.frame}, the place {x:.2f}, {y:.2f} is to be kept and to be dropped: "
                    "remove one of the two."
                )


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _read_mark(option: str, word: str) -> Mark:
    try:
        frame, _, rest = word.partition(":")
        path, _, radius = rest.partition("@")
        points = tuple((float(x), float(y)) for x, y in (point.split(",") for point in path.split(";")))
        return Mark(int(frame), points, option == "keep", float(radius) if radius else RADIUS)
    except ValueError as error:
        raise UserError(f"--{option} {word} cannot be read: it is {_FORMS[option]}.") from error


def _read_box(word: str) -> KeyBox:
    try:
        frame, _, rest = word.partition(":")
        left, top, right, bottom = (float(side) for side in rest.split(","))
        return KeyBox(int(frame), left, top, right, bottom)
    except ValueError as error:
        raise UserError(f"--box {word} cannot be read: it is {_FORMS['box']}.") from error
