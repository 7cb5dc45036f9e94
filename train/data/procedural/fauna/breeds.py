"""Builds of four-legged animals, drawn from the ranges in breeds.toml."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).with_name("breeds.toml")
BLEND_PROB = 0.25
"""Probability that a build has something of another breed."""

Ranges = dict[str, tuple[float, float]]
"""Lower and upper limits by measure, in the order of the fields of `Build`."""


@dataclass(frozen=True)
class Build:
    """Measures of one animal. Lengths are in units of the distance from hips to shoulders, angles in radians.

    The order of the fields is the order in which they are drawn: it determines every animal of a seed.
    """

    chest_height: float
    """Half height of the chest."""
    body_width: float
    """Width of the body in its heights."""
    belly: float
    """Height of the belly in chest heights."""
    haunch: float
    """Height of the hindquarters in chest heights."""
    hump: float
    """Height of a hump over the shoulders."""
    back_arch: float
    """Bend of the spine: positive arches the back, negative lets it sag."""
    leg_length: float
    leg_thickness: float
    """Radius of the upper legs."""
    ankle_thickness: float
    """Radius of the lower legs in leg thicknesses."""
    leg_zigzag: float
    """Angles between the links of a standing leg."""
    foot_size: float
    """Size of a foot in radii of the lower leg."""
    hip_spacing: float
    """Distance of the hips from the middle plane in body widths."""
    leg_sprawl: float
    """Angle of the legs to the side."""
    neck_length: float
    neck_pitch: float
    """Pitch of the neck above the horizontal."""
    nape_thickness: float
    """Thickness of the neck at the head in chest heights."""
    head_radius: float
    snout_length: float
    """Length of the snout in head radii."""
    muzzle_thickness: float
    """Radius of the muzzle in head radii."""
    brow_height: float
    """Height of the forehead over the snout, from 0 (none) to 1."""
    ear_length: float
    """Length of an ear in head radii."""
    ear_width: float
    """Half width of an ear in ear lengths."""
    ear_spread: float
    """Angle of the ears from upright to the side."""
    ear_flap: float
    """How far the ears lie along the head, from 0 (upright) to 1."""
    tail_length: float
    tail_thickness: float
    """Radius of the tail's root in chest heights."""
    tail_droop: float
    """Pitch of the tail below the horizontal."""
    tail_curl: float
    """Change of that pitch along the tail."""
    tail_tuft: float
    """Size of a tuft at the tail's end; up to 0.25 there is none."""
    mane: float
    """A mane if above 0.5."""
    ruff: float
    """A ruff around the neck if above 0.3."""
    humps: float
    """One or two humps of a camel if above 0.5."""
    trunk_length: float
    """Length of a trunk; up to 0.4 there is none."""
    tusks: float
    """Tusks if above 0.5."""
    horns: float
    """Horns if above 0.45, antlers if above 1."""
    horn_length: float
    """Length of a horn in head radii."""
    horn_curl: float
    """Angle by which a horn bends from root to tip."""
    nose_horn: float
    """Length of a horn on the nose in head radii; up to 0.35 there is none."""
    sitting: float
    """Probability of sitting."""
    upright: float
    """Probability of standing on the hind legs."""


MEASURES = tuple(field.name for field in fields(Build))


@dataclass(frozen=True)
class Breeds:
    """The contents of breeds.toml: complete ranges of every breed, and the breeds of every family."""

    ranges: dict[str, Ranges]
    families: dict[str, tuple[str, ...]]

    @property
    def all(self) -> tuple[str, ...]:
        """The breeds of all families, as often as the families list them."""
        return tuple(breed for breeds in self.families.values() for breed in breeds)


def read_breeds(text: str) -> Breeds:
    """Parse breeds.toml; its header describes the format.

    Raises:
        ValueError: a measure or a breed is unknown, a range is no range, or a default is missing.
    """
    document = tomllib.loads(text)
    defaults = _ranges("defaults", document["defaults"])
    missing = [name for name in MEASURES if name not in defaults]
    if missing:
        raise ValueError(f"breeds.toml, defaults: there is no range for {', '.join(missing)}.")
    overrides: dict[str, Ranges] = {}
    for name, table in document["breeds"].items():
        parent = table.pop("extends", None)
        _require_known(f"{name}, extends", parent, [None, *overrides])
        overrides[name] = {**overrides.get(parent, {}), **_ranges(name, table)}
    families = {family: tuple(breeds) for family, breeds in document["families"].items()}
    for family, breeds in families.items():
        for breed in breeds:
            _require_known(family, breed, list(overrides))
    complete = {
        name: {measure: own.get(measure, defaults[measure]) for measure in MEASURES}
        for name, own in overrides.items()
    }
    return Breeds(complete, families)


@cache
def breeds() -> Breeds:
    """The breeds in breeds.toml."""
    return read_breeds(PATH.read_text(encoding="utf-8"))


def random_build(random: np.random.Generator, family: str) -> Build:
    """A random build of a family; some are blended with another breed."""
    table = breeds()
    build = _draw(random, table, table.families[family])
    if random.random() < BLEND_PROB:
        other, share = _draw(random, table, table.all), random.uniform(0.1, 0.6)
        build = {name: (1 - share) * value + share * other[name] for name, value in build.items()}
    return Build(**build)


def _draw(random: np.random.Generator, table: Breeds, names: tuple[str, ...]) -> dict[str, float]:
    ranges = table.ranges[names[random.integers(len(names))]]
    return {name: float(random.uniform(low, high)) for name, (low, high) in ranges.items()}


def _ranges(where: str, table: dict[str, Any]) -> Ranges:
    for name, limits in table.items():
        _require_known(where, name, MEASURES)
        numbers = isinstance(limits, list) and all(isinstance(x, int | float) for x in limits)
        if not numbers or len(limits) != 2 or limits[0] > limits[1]:
            raise ValueError(f"breeds.toml, {where}: {name} must be [low, high], not {limits!r}.")
    return {name: (float(low), float(high)) for name, (low, high) in table.items()}


def _require_known(where: str, name: Any, known: Any) -> None:
    if name not in known:
        near = difflib.get_close_matches(str(name), [str(k) for k in known], 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"breeds.toml, {where}: there is no {name!r}.{hint}")
