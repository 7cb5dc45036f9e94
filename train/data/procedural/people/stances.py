"""Stances of people. Angles are in radians; limbs hang down at 0 and swing forwards."""

from __future__ import annotations

from dataclasses import dataclass

from train.data.procedural.anatomy import Body


@dataclass(frozen=True)
class Limb:
    """Angles of an arm or a leg."""

    swing: float  # of the upper link, forwards
    out: float  # of the upper link, to its own side
    bend: float  # of elbows forwards, of knees backwards
    moving: float = 0.0  # amplitude that a movement adds to the swing


@dataclass(frozen=True)
class Stance:
    """Angles of a body; limbs are the left one (1) and the right one (-1)."""

    lean: float  # of the torso, forwards
    twist: float  # of the shoulders, to the left
    arms: dict[int, Limb]
    legs: dict[int, Limb]


def on_foot(a: Body, strong: int) -> Stance:
    """A random stance on foot; `strong` is the side of the hand that strikes and throws."""
    stances = (walking, walking, walking, standing, standing, fighting, fighting, aiming, working, kneeling)
    return stances[a.random.integers(len(stances))](a, strong)


def walking(a: Body, strong: int) -> Stance:
    """A person who walks or runs."""
    stride = a.u(0.15, 0.9)
    legs = {side: Limb(0.0, 0.04, 0.15 + 0.6 * stride, side * stride) for side in (1, -1)}
    arms = {side: Limb(0.05, a.u(0.1, 0.35), a.u(0.1, 1.6), -side * stride * a.u(0.1, 1)) for side in (1, -1)}
    if a.chance(0.4):
        arms[strong] = _free(a)
    return Stance(0.3 * stride * a.u(0, 1), a.askew(0.2), arms, legs)


def standing(a: Body, strong: int) -> Stance:
    """A person who stands."""
    apart = a.u(0.02, 0.3)
    legs = {side: Limb(a.askew(0.12), apart, a.u(0, 0.15), 0.03) for side in (1, -1)}
    arms = {side: _free(a) if a.chance(0.5) else _hanging(a) for side in (1, -1)}
    return Stance(a.u(-0.08, 0.12), a.askew(0.3), arms, legs)


def fighting(a: Body, strong: int) -> Stance:
    """A person who strikes or guards."""
    step, low = a.u(0.2, 0.7), a.u(0.1, 0.9)
    legs = {-strong: Limb(step + 0.4 * low, 0.15, low), strong: Limb(0.4 * low - step, 0.15, low)}
    blow = Limb(a.u(-0.4, 2.8), a.u(0.2, 0.9), a.u(0.2, 1.8), a.u(0.2, 0.7))
    guard = Limb(a.u(0.2, 1.3), a.u(0.1, 0.7), a.u(0.5, 1.7), 0.1)
    return Stance(a.u(-0.1, 0.5), strong * a.u(-0.2, 0.7), {strong: blow, -strong: guard}, legs)


def aiming(a: Body, strong: int) -> Stance:
    """An archer with a drawn bow."""
    legs = {-strong: Limb(a.u(0.1, 0.5), 0.15, 0.1), strong: Limb(-a.u(0.1, 0.4), 0.15, 0.1)}
    turn = a.u(0.3, 1.2)  # of the shoulders, out of which the arms reach forwards again
    held, drawn = Limb(a.u(1.3, 1.7), 0.9 * turn, 0.1, 0.05), Limb(a.u(1.2, 1.5), 1.2, a.u(1.6, 2.5), 0.2)
    return Stance(a.u(-0.05, 0.15), strong * -turn, {-strong: held, strong: drawn}, legs)


def working(a: Body, strong: int) -> Stance:
    """A person who bends to work."""
    bent = a.u(0.3, 1.1)
    legs = {side: Limb(a.u(-0.1, 0.4), a.u(0.05, 0.25), a.u(0.1, 0.7)) for side in (1, -1)}
    arms = {side: Limb(bent + a.u(-0.2, 0.7), 0.1, a.u(0.1, 1.2), a.u(0, 0.6)) for side in (1, -1)}
    return Stance(bent, a.askew(0.5), arms, legs)


def kneeling(a: Body, strong: int) -> Stance:
    """A person on one knee."""
    legs = {strong: Limb(a.u(-0.1, 0.3), 0.1, 1.6), -strong: Limb(1.5, 0.1, 1.5)}
    return Stance(a.u(-0.1, 0.4), a.askew(0.4), {side: _free(a) for side in (1, -1)}, legs)


def astride(a: Body, strong: int) -> Stance:
    """A rider with the legs on either side of the animal's back."""
    out = a.u(0.25, 0.6)
    legs = {side: Limb(a.u(0.9, 1.5), out, a.u(0.8, 1.6)) for side in (1, -1)}
    arms = {strong: _free(a), -strong: Limb(a.u(0.3, 0.9), 0.15, a.u(0.4, 1.4), 0.05)}
    return Stance(a.u(-0.1, 0.3), a.askew(0.3), arms, legs)


def _hanging(a: Body) -> Limb:
    return Limb(a.u(-0.15, 0.2), a.u(0.05, 0.3), a.u(0.05, 0.5), 0.05)


def _free(a: Body) -> Limb:
    """An arm in any position."""
    return Limb(a.u(-0.4, 2.6), a.u(0.0, 1.4), a.u(0, 2.0), a.u(0, 0.4))
