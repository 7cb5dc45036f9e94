"""Colours of people, their clothes and their gear."""

from __future__ import annotations

import colorsys

import numpy as np

from train.data.procedural.fauna.coats import NATURAL, NO_PATTERN, pattern
from train.data.procedural.parts import Coat, Vector

SKINS = np.array([
    (0.93, 0.76, 0.65), (0.87, 0.66, 0.52), (0.76, 0.55, 0.40), (0.62, 0.42, 0.29), (0.45, 0.30, 0.20),
    (0.30, 0.20, 0.14),
])  # fmt: skip
HAIRS = np.array([
    (0.08, 0.07, 0.06), (0.22, 0.14, 0.09), (0.40, 0.26, 0.15), (0.62, 0.45, 0.25), (0.82, 0.70, 0.45),
    (0.55, 0.20, 0.08), (0.62, 0.62, 0.62), (0.90, 0.90, 0.88),
])  # fmt: skip
METALS = np.array([(0.62, 0.63, 0.65), (0.42, 0.43, 0.46), (0.72, 0.55, 0.25), (0.80, 0.66, 0.30)])
CLOTH = ("shirt", "skirt", "trousers", "cloak", "hat", "plume", "shield", "saddle")
UNREAL, VIVID = 0.08, 0.5
"""Probabilities of skin of any hue, and of bright cloth."""
PATTERNED = 0.45
"""Probability of patterned cloth."""


def wardrobe(random: np.random.Generator) -> dict[str, Coat]:
    """A random coat for every region of a person."""
    u = random.uniform

    def bright() -> Vector:
        return np.array(colorsys.hsv_to_rgb(u(0, 1), u(0.3, 1), u(0.25, 0.95)))

    def one_of(colors: Vector) -> Vector:
        return np.clip(colors[random.integers(len(colors))] * u(0.8, 1.15) + random.normal(0, 0.02, 3), 0, 1)

    cloths = [bright() if random.random() < VIVID else one_of(NATURAL) for _ in range(4)]
    skin = bright() if random.random() < UNREAL else one_of(SKINS)
    leather, dark = one_of(NATURAL) * u(0.4, 1), np.full(3, u(0.03, 0.15))
    plain = {
        "skin": skin, "hair": one_of(HAIRS), "eye": dark, "mouth": np.clip(skin * (0.8, 0.5, 0.5), 0, 1),
        "metal": one_of(METALS), "armour": one_of(METALS) if random.random() < 0.6 else leather,
        "leather": leather, "shoes": dark if random.random() < 0.3 else leather * u(0.5, 1),
        "wood": np.array([0.45, 0.3, 0.17]) * u(0.5, 1.4),
    }  # fmt: skip
    made = {name: Coat(color, color, color, -1.0, *NO_PATTERN) for name, color in plain.items()}
    for name in CLOTH:
        color = cloths[random.integers(3)]
        hem = cloths[random.integers(4)] if random.random() < 0.4 else color
        marks = cloths[random.integers(4)] if random.random() < 0.6 else color * u(0.3, 0.7)
        waves, phases, level = pattern(random) if random.random() < PATTERNED else NO_PATTERN
        made[name] = Coat(color, hem, marks, u(-0.9, 0.0), waves, phases, level)
    if random.random() < 0.4:  # mail, scales, laces
        size = u(25, 70)
        waves = np.array([[size, 0.0, 0.0], [0.0, size, size]])
        own = made["armour"].back
        made["armour"] = Coat(own, own, own * u(0.3, 0.7), -1.0, waves, u(0, 6.28, 2), u(0.2, 0.9))
    return made
