"""Builds of people."""

from __future__ import annotations

from dataclasses import dataclass

from train.data.procedural.anatomy import Body
from train.data.procedural.parts import Vector


@dataclass(frozen=True)
class Build:
    """Measures of a person; an adult is about 1.7 tall."""

    leg: float  # length
    torso: float  # length
    arm: float  # length
    head: float  # radius
    shoulder: float  # half width
    hip: float  # half width
    deep: float  # half depth of the torso
    thick: float  # radius of limbs

    @staticmethod
    def random(a: Body, size: float = 1.0) -> Build:
        """A random adult, child, or cartoon figure with a large head, `size` times as large."""
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
    """Place of the torso; the columns of rotations point up, forwards and to the right."""

    hip: Vector  # [3]
    neck: Vector  # [3]
    low: Vector  # [3, 3] of the hips
    high: Vector  # [3, 3] of the shoulders
