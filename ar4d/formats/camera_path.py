"""A camera's own path around an object: key frames, and the smooth way between them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ar4d.cameras import FOV_Y_DEG, RADIUS, Cameras, around
from ar4d.errors import UserError
from ar4d.records import first_problem

MIN_FOV_DEG, MAX_FOV_DEG = 5.0, 120.0


@dataclass(frozen=True)
class CameraKey:
    """Where the camera is at one point of its path."""

    azimuth_deg: float = 0.0
    """0 is the view of the clip. Not wrapped: from 0 to 360 is one whole turn."""

    elevation_deg: float = 0.0
    """Positive is above."""

    radius: float = RADIUS
    """Distance from `target`, world units."""

    target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The point that the camera looks at."""

    fov_y_deg: float = FOV_Y_DEG
    """Vertical field of view."""

    time: float | None = None
    """The clip's moment in [0, 1] that is shown here; if the keys have none, the clip plays at its speed."""


@dataclass(frozen=True)
class CameraPath:
    """Key frames at equal distances in time, joined by curves that never overshoot a key (PCHIP)."""

    keys: tuple[CameraKey, ...]

    closed: bool = False
    """Whether the camera returns from the last key to the first one, so that the video loops."""

    @staticmethod
    def from_json(values: Any, name: str = "The camera path") -> CameraPath:
        """The path that a JSON object describes: {"keys": [{"azimuth_deg": 0}, …], "closed": false}.

        Args:
            name: what a message calls it.

        Raises:
            UserError: a value is missing, of another kind, or out of range.
        """
        try:
            path = TypeAdapter(CameraPath).validate_python(values)
        except ValidationError as error:
            raise UserError(f"{name} cannot be read: {first_problem(error)}.") from error
        path.check()
        return path

    @staticmethod
    def load(file: Path) -> CameraPath:
        """The path in a JSON file.

        Raises:
            UserError: the file is missing or holds something else.
        """
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"The camera path {file} cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise UserError(f"The camera path {file} is not JSON ({error}).") from error
        return CameraPath.from_json(values, f"The camera path {file}")

    def to_json(self) -> dict[str, Any]:
        """The values that `from_json` reads."""
        return dataclasses.asdict(self)

    def check(self) -> None:
        """Checks that the path can be followed.

        Raises:
            UserError: there are fewer than two keys, a value is out of range, or only some keys have a time.
        """
        if len(self.keys) < 2:
            count = "none" if not self.keys else "1"
            raise UserError(f"A camera path needs at least two key frames, and this one has {count}.")
        for number, key in enumerate(self.keys, 1):
            numbers = (key.azimuth_deg, key.elevation_deg, key.radius, *key.target, key.fov_y_deg)
            if not np.isfinite(numbers).all():
                raise UserError(f"Key frame {number} of the camera path has a value that is no number.")
            for name, value, low, high in (
                ("elevation", key.elevation_deg, -90, 90),
                ("radius", key.radius, 0.01, 100),
                ("field of view", key.fov_y_deg, MIN_FOV_DEG, MAX_FOV_DEG),
                ("time", 0.0 if key.time is None else key.time, 0, 1),
            ):
                if not low <= value <= high:
                    raise UserError(
                        f"Key frame {number} of the camera path has the {name} {value:g}; "
                        f"choose one from {low:g} to {high:g}."
                    )
        if 0 < sum(key.time is not None for key in self.keys) < len(self.keys):
            raise UserError("Some key frames of the camera path have a time; give one to all or to none.")

    @property
    def timed(self) -> bool:
        """Whether the keys say which moment of the clip they show."""
        return all(key.time is not None for key in self.keys)

    def sample(self, num_frames: int) -> list[CameraKey]:
        """The camera in every frame of a video, from the first key to the last one.

        A closed path ends one step before the first key, so that the video loops.
        """
        from scipy.interpolate import PchipInterpolator

        rows, at = self._rows()
        last = len(self.keys) if self.closed else len(self.keys) - 1
        steps = num_frames if self.closed else max(num_frames - 1, 1)
        values = PchipInterpolator(at, rows, axis=0)(np.arange(num_frames) * (last / steps))
        return [self._key(row) for row in values]

    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The keys as rows of numbers, and the places on the path where they stand."""
        rows = np.array(
            [
                [k.azimuth_deg, k.elevation_deg, np.log(k.radius), *k.target, k.fov_y_deg, k.time or 0.0]
                for k in self.keys
            ]
        )
        count = len(rows)
        if not self.closed:
            return rows, np.arange(count)
        # Two keys more at either end, so that the curve's slope is the same where it closes.
        ring = np.concatenate([rows[-2:], rows, rows[:2]])
        home = 360 * np.round((rows[-1, 0] - rows[0, 0]) / 360)  # back to the first key by the shorter way
        ring[:2, 0] -= home
        ring[-2:, 0] += home
        return ring, np.arange(-2, count + 2)

    def _key(self, row: Sequence[float]) -> CameraKey:
        azimuth, elevation, log_radius, x, y, z, fov, time = (float(value) for value in row)
        return CameraKey(
            azimuth, elevation, float(np.exp(log_radius)), (x, y, z), fov,
            min(max(time, 0.0), 1.0) if self.timed else None,
        )  # fmt: skip


def camera_of(key: CameraKey, width: int, height: int) -> Cameras:
    """The camera of a key frame for an image of `width` by `height` pixels."""
    return around(
        key.target, key.azimuth_deg, key.elevation_deg, key.radius,
        width=width, height=height, fov_y_deg=key.fov_y_deg,
    )  # fmt: skip
