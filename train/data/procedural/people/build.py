"""How people are built."""

from __future__ import annotations

from dataclasses import dataclass

from train.data.procedural.anatomy import Body
from train.data.procedural.parts import Vector


@dataclass(frozen=True)
class Build:
    """Lengths, and half sizes of what is thick."""

    leg: float
    torso: float
    arm: float
    head: float
    shoulder: float
    hip: float
    deep: float
    thick: float  # of limbs

    @staticmethod
    def random(a: Body, size: float = 1.0) -> Build:
        """Somebody grown up, a child, or a cartoon with a large head."""
        child, drawn = a.chance(0.15), a.chance(0.2)
        fat, wide = a.u(0.8, 1.4), a.u(0.85, 1.2)
        lengths = Build(
            leg=a.u(0.78, 0.95) * (0.8 if child else 1.0),
            torso=a.u(0.5, 0.62),
            arm=a.u(0.56, 0.68),
            head=a.u(0.1, 0.125) * (1.25 if child else 1.0) * (a.u(1.2, 2.2) if drawn else 1.0),
            shoulder=a.u(0.17, 0.22) * wide,
            hip=a.u(0.13, 0.17) * wide,
            deep=a.u(0.1, 0.13) * fat,
            thick=a.u(0.05, 0.075) * fat**0.7,
        )
        return Build(*(size * value for value in vars(lengths).values()))


@dataclass(frozen=True)
class Frame:
    """Where the torso is; columns of rotations look up, forwards and to the right."""

    hip: Vector  # [3]
    neck: Vector  # [3]
    low: Vector  # [3, 3] of the hips
    high: Vector  # [3, 3] of the shoulders
