"""Colours and patterns of animals."""

from __future__ import annotations

import colorsys

import numpy as np

from train.data.procedural.parts import Coat, Vector

NATURAL = np.array([
    (0.42, 0.28, 0.17), (0.55, 0.38, 0.22), (0.72, 0.56, 0.37), (0.80, 0.70, 0.50), (0.45, 0.45, 0.44),
    (0.60, 0.58, 0.55), (0.33, 0.36, 0.40), (0.14, 0.12, 0.11), (0.20, 0.16, 0.12), (0.90, 0.88, 0.84),
    (0.60, 0.32, 0.14), (0.50, 0.20, 0.10), (0.85, 0.77, 0.60), (0.40, 0.40, 0.22), (0.35, 0.42, 0.24),
])  # fmt: skip
FURRY = 13
"""Number of these colours that occur in fur: all but the greens."""
REGIONS = (
    "body", "wing", "legs", "feet", "head", "face", "ears", "tail", "tip", "mane", "horn", "beak",
    "eye", "fin", "crest",
)  # fmt: skip
NO_PATTERN = (np.zeros((0, 3)), np.zeros(0), 0.0)
RANDOM_PALETTE_PROB = 0.15
"""Probability of unrelated random colours for all regions."""


def coats(random: np.random.Generator, vivid: float = 0.0) -> dict[str, Coat]:
    """A coat for every region; `vivid` is the chance of bright colours."""
    u = random.uniform

    def hue() -> Vector:
        if random.random() < vivid:
            return np.array(colorsys.hsv_to_rgb(u(0, 1), u(0.45, 1), u(0.35, 0.95)))
        base = NATURAL[random.integers(len(NATURAL) if vivid else FURRY)]
        return np.clip(base * u(0.75, 1.2) + random.normal(0, 0.03, 3), 0.02, 0.97)

    back = hue()
    second = np.clip(back * u(0.2, 0.6), 0, 1) if random.random() < 0.5 else hue()
    light = back + (np.array([0.95, 0.93, 0.88]) - back) * u(0.3, 1.0)
    belly = light if random.random() < 0.55 else (hue() if random.random() < 0.3 else back)
    marks = back * u(0.1, 0.5) if random.random() < 0.6 else (light if random.random() < 0.6 else hue())
    waves, phases, level = pattern(random)
    edge = u(-0.8, 0.1)

    def either(*choices: Vector) -> Vector:
        return choices[random.integers(len(choices))]

    bone, dark = np.array([0.85, 0.80, 0.68]) * u(0.7, 1.1), np.full(3, u(0.04, 0.15))
    bill = np.array([0.9, u(0.45, 0.75), 0.1]) * u(0.6, 1.05)
    head = either(back, back, back, second, light)
    backs = {
        "body": back, "wing": either(back, back, second, marks), "head": head,
        "legs": either(back, back, second, second, light),
        "feet": either(dark, dark, second, bone, back * 0.5),
        "face": either(head, head, light, dark, second), "ears": either(back, back, second, dark, light),
        "tail": either(back, back, second), "tip": either(back, dark, second, light),
        "mane": either(dark, second, second, light), "horn": either(bone, bone, dark, second),
        "beak": either(bill, bill, dark, bone, second), "eye": either(dark, dark, np.array([0.7, 0.5, 0.1])),
        "fin": either(back, second, second, marks),
        "crest": either(second, hue(), np.array([0.75, 0.1, 0.1])),
    }  # fmt: skip
    if random.random() < RANDOM_PALETTE_PROB:
        backs = {region: u(0.05, 0.95, 3) for region in REGIONS}
        belly, marks = u(0.05, 0.95, (2, 3))
    made = {}
    for region in REGIONS:
        marked = region in ("body", "wing", "tail") or (
            region in ("head", "legs", "fin", "mane") and random.random() < 0.5
        )
        under = region in ("body", "head", "face", "tail")
        made[region] = Coat(
            backs[region], belly if under else backs[region], marks, edge,
            waves if marked else waves[:0], phases if marked else phases[:0], level,
        )  # fmt: skip
    return made


def pattern(random: np.random.Generator) -> tuple[Vector, Vector, float]:
    """Waves, phases and level of random stripes, spots, patches or nothing, for an animal of length 1."""
    kind, u = random.random(), random.uniform
    if kind < 0.45:
        return NO_PATTERN
    if kind < 0.6:  # stripes around the body
        waves = np.array([[u(14, 45), u(-8, 8), 0.0]]) * np.array([[1.0], [u(0.8, 1.2)]])
        return waves, u(0, 6.28, 2), u(-0.3, 0.7)
    if kind < 0.65:  # along it
        return np.array([[0.0, u(15, 40), u(0, 20)]]), u(0, 6.28, 1), u(-0.2, 0.6)
    waves = random.normal(size=(7, 3))
    size = u(20, 60) if kind < 0.85 else u(4, 12)
    waves *= size / np.linalg.norm(waves, axis=1, keepdims=True)
    return waves, u(0, 6.28, 7), u(0.25, 0.8) if kind < 0.85 else u(-0.3, 0.5)
