"""What four-legged animals look like: ranges of measures, the distance from hips to shoulders being 1."""

from __future__ import annotations

import numpy as np

Ranges = dict[str, tuple[float, float]]
Build = dict[str, float]

ANY: Ranges = {
    "chest": (0.2, 0.28), "wide": (0.6, 0.9), "belly": (0.8, 1.05), "haunch": (0.8, 1.05),
    "hump": (0.0, 0.04), "arch": (-0.03, 0.05), "leg": (0.6, 0.85), "thick": (0.08, 0.12),
    "ankle": (0.4, 0.6), "zigzag": (0.3, 0.8), "foot": (1.1, 1.6), "apart": (0.5, 0.65), "sprawl": (0.0, 0.0),
    "neck": (0.3, 0.55), "rise": (0.2, 0.9), "nape": (0.5, 0.7), "head": (0.12, 0.17), "snout": (0.7, 1.2),
    "muzzle": (0.4, 0.65), "brow": (0.2, 0.5), "ear": (0.6, 1.1), "earwide": (0.3, 0.5), "spread": (0.3, 0.9),
    "flap": (0.0, 0.2), "tail": (0.3, 0.8), "tailthick": (0.1, 0.2), "droop": (-0.3, 1.3),
    "curl": (-0.5, 0.5), "tuft": (0.0, 0.3), "mane": (0.0, 0.15), "ruff": (0.0, 0.08), "humps": (0.0, 0.03),
    "trunk": (0.0, 0.0), "tusks": (0.0, 0.03), "horns": (0.0, 0.0), "horn": (0.6, 1.6), "curled": (0.0, 2.0),
    "nosehorn": (0.0, 0.0), "sitting": (0.2, 0.25), "upright": (0.0, 0.02),
}  # fmt: skip

GIANT: Ranges = {
    "chest": (0.36, 0.48), "wide": (0.7, 0.9), "belly": (0.95, 1.1), "leg": (0.8, 1.1), "thick": (0.15, 0.2),
    "ankle": (0.65, 0.85), "zigzag": (0.0, 0.2), "foot": (1.1, 1.25), "neck": (0.2, 0.3), "rise": (0.1, 0.6),
    "nape": (0.5, 0.7), "head": (0.23, 0.3), "snout": (0.3, 0.5), "muzzle": (0.5, 0.7), "ear": (1.0, 2.4),
    "earwide": (0.4, 0.55), "spread": (1.5, 2.4), "flap": (0.75, 1.0), "tail": (0.4, 0.7),
    "tailthick": (0.06, 0.1), "droop": (1.1, 1.5), "curl": (-0.1, 0.2), "tuft": (0.3, 0.9),
    "trunk": (0.8, 1.3), "tusks": (0.3, 1.0), "sitting": (0.0, 0.1),
}  # fmt: skip
RHINO: Ranges = {
    "chest": (0.32, 0.4), "wide": (0.75, 0.95), "belly": (1.0, 1.1), "hump": (0.0, 0.12), "leg": (0.5, 0.65),
    "thick": (0.13, 0.17), "ankle": (0.6, 0.75), "zigzag": (0.1, 0.3), "neck": (0.25, 0.4),
    "rise": (-0.3, 0.2), "nape": (0.6, 0.8), "head": (0.17, 0.21), "snout": (1.2, 1.8), "muzzle": (0.6, 0.8),
    "ear": (0.4, 0.7), "tail": (0.3, 0.5), "droop": (1.1, 1.5), "nosehorn": (0.5, 1.0), "mane": (0.0, 0.0),
}  # fmt: skip
HIPPO: Ranges = {
    "chest": (0.34, 0.42), "wide": (0.9, 1.05), "belly": (1.0, 1.15), "leg": (0.35, 0.5),
    "thick": (0.13, 0.17), "ankle": (0.65, 0.8), "zigzag": (0.1, 0.3), "neck": (0.2, 0.3),
    "rise": (-0.2, 0.3), "nape": (0.65, 0.85), "head": (0.2, 0.26), "snout": (1.0, 1.4),
    "muzzle": (0.8, 1.05), "ear": (0.25, 0.4), "tail": (0.15, 0.3), "droop": (1.0, 1.5), "mane": (0.0, 0.0),
}  # fmt: skip
BEAR: Ranges = {
    "chest": (0.28, 0.38), "wide": (0.75, 0.95), "belly": (0.95, 1.15), "haunch": (0.9, 1.1),
    "hump": (0.0, 0.1), "leg": (0.5, 0.65), "thick": (0.14, 0.18), "ankle": (0.6, 0.75), "zigzag": (0.2, 0.5),
    "foot": (1.3, 1.6), "neck": (0.25, 0.4), "rise": (-0.1, 0.5), "nape": (0.6, 0.75), "head": (0.18, 0.24),
    "ear": (0.35, 0.5), "earwide": (0.45, 0.55), "snout": (0.6, 1.0), "tail": (0.05, 0.12),
    "sitting": (0.5, 0.5), "upright": (0.1, 0.15),
}  # fmt: skip
PIG: Ranges = {
    "chest": (0.28, 0.36), "wide": (0.75, 0.95), "belly": (1.0, 1.15), "leg": (0.4, 0.55),
    "thick": (0.09, 0.13), "neck": (0.2, 0.3), "rise": (-0.3, 0.1), "nape": (0.7, 0.85), "head": (0.16, 0.22),
    "snout": (1.0, 1.6), "muzzle": (0.45, 0.6), "ear": (0.6, 1.1), "tail": (0.2, 0.35), "mane": (0.0, 1.0),
    "tusks": (0.0, 0.7),
}  # fmt: skip
CAT: Ranges = {
    "chest": (0.17, 0.23), "wide": (0.65, 0.85), "belly": (0.75, 1.0), "leg": (0.5, 0.7),
    "thick": (0.09, 0.13), "neck": (0.2, 0.35), "rise": (0.0, 0.8), "nape": (0.55, 0.7), "head": (0.13, 0.2),
    "snout": (0.3, 0.6), "muzzle": (0.5, 0.65), "ear": (0.5, 0.9), "earwide": (0.4, 0.55), "tail": (0.7, 1.2),
    "curl": (0.0, 0.9), "droop": (0.2, 1.4), "tailthick": (0.18, 0.28), "ruff": (0.0, 0.6),
    "sitting": (0.45, 0.5),
}  # fmt: skip
DOG: Ranges = {
    "chest": (0.18, 0.26), "wide": (0.6, 0.85), "belly": (0.6, 0.95), "leg": (0.35, 0.9),
    "thick": (0.08, 0.12), "neck": (0.25, 0.45), "rise": (0.3, 1.0), "head": (0.13, 0.2), "snout": (0.6, 1.4),
    "brow": (0.3, 0.6), "ear": (0.6, 1.3), "spread": (0.3, 2.4), "tail": (0.3, 0.8), "droop": (-1.0, 1.3),
    "curl": (-0.9, 0.3), "tailthick": (0.12, 0.4), "ruff": (0.0, 0.2), "sitting": (0.45, 0.5),
}  # fmt: skip
HORSE: Ranges = {
    "chest": (0.24, 0.3), "leg": (0.85, 1.1), "thick": (0.1, 0.13), "ankle": (0.35, 0.45),
    "zigzag": (0.2, 0.4), "neck": (0.55, 0.75), "rise": (0.5, 1.0), "nape": (0.45, 0.6), "head": (0.14, 0.18),
    "snout": (1.5, 2.0), "muzzle": (0.45, 0.6), "ear": (0.6, 1.1), "earwide": (0.2, 0.3), "tail": (0.6, 0.9),
    "droop": (0.9, 1.4), "tailthick": (0.2, 0.35), "mane": (0.7, 1.0), "sitting": (0.0, 0.05),
}  # fmt: skip
CATTLE: Ranges = {
    "chest": (0.28, 0.36), "belly": (0.95, 1.1), "hump": (0.0, 0.2), "leg": (0.6, 0.8), "thick": (0.1, 0.13),
    "neck": (0.3, 0.45), "rise": (-0.2, 0.5), "nape": (0.55, 0.75), "head": (0.15, 0.19), "snout": (1.1, 1.5),
    "muzzle": (0.55, 0.7), "ear": (0.7, 1.1), "spread": (1.2, 1.8), "tail": (0.6, 0.9), "droop": (1.2, 1.5),
    "tailthick": (0.07, 0.1), "tuft": (0.3, 0.9), "horns": (0.4, 1.0), "ruff": (0.0, 0.2),
    "sitting": (0.0, 0.02),
}  # fmt: skip
GOAT: Ranges = {
    "chest": (0.22, 0.34), "wide": (0.7, 0.95), "leg": (0.55, 0.8), "thick": (0.08, 0.1),
    "ankle": (0.35, 0.5), "neck": (0.3, 0.5), "rise": (0.5, 1.0), "head": (0.14, 0.17), "snout": (0.8, 1.2),
    "spread": (1.0, 2.0), "horn": (0.6, 2.6), "curled": (0.5, 5.5), "horns": (0.3, 1.0), "tail": (0.1, 0.3),
    "sitting": (0.0, 0.02),
}  # fmt: skip
DEER: Ranges = {
    "chest": (0.18, 0.25), "leg": (0.8, 1.15), "thick": (0.07, 0.1), "ankle": (0.35, 0.45),
    "zigzag": (0.3, 0.6), "neck": (0.45, 0.75), "rise": (0.6, 1.2), "nape": (0.4, 0.5), "head": (0.12, 0.15),
    "snout": (1.0, 1.5), "ear": (0.9, 1.5), "spread": (0.7, 1.4), "horn": (1.0, 3.5), "curled": (-1.0, 1.5),
    "horns": (0.2, 2.0), "tail": (0.1, 0.3), "sitting": (0.0, 0.02),
}  # fmt: skip
CAMEL: Ranges = {
    "chest": (0.26, 0.34), "leg": (0.95, 1.25), "thick": (0.09, 0.12), "neck": (0.7, 1.0), "rise": (0.2, 1.1),
    "nape": (0.4, 0.5), "head": (0.12, 0.15), "snout": (1.1, 1.5), "humps": (0.7, 1.0), "tail": (0.3, 0.5),
    "ear": (0.4, 0.7), "droop": (1.1, 1.5), "sitting": (0.0, 0.02),
}  # fmt: skip
GIRAFFE: Ranges = {
    "chest": (0.27, 0.34), "haunch": (0.7, 0.85), "hump": (0.0, 0.1), "leg": (1.2, 1.7),
    "thick": (0.09, 0.13), "ankle": (0.35, 0.5), "zigzag": (0.1, 0.3), "neck": (1.2, 2.0), "rise": (0.8, 1.3),
    "nape": (0.45, 0.6), "head": (0.13, 0.16), "snout": (1.1, 1.6), "horns": (0.0, 0.8), "horn": (0.5, 0.9),
    "curled": (0.0, 0.2), "mane": (0.0, 1.0), "tail": (0.5, 0.9), "tuft": (0.3, 0.9), "droop": (1.1, 1.5),
    "sitting": (0.0, 0.02),
}  # fmt: skip
LLAMA: Ranges = {
    "chest": (0.24, 0.34), "leg": (0.7, 1.0), "neck": (0.7, 1.0), "rise": (0.9, 1.4), "nape": (0.45, 0.6),
    "head": (0.13, 0.17), "snout": (0.7, 1.1), "ear": (0.8, 1.3), "tail": (0.15, 0.4), "sitting": (0.0, 0.02),
}  # fmt: skip
SAUROPOD: Ranges = {
    "chest": (0.32, 0.42), "wide": (0.75, 0.95), "belly": (1.0, 1.1), "leg": (0.6, 0.9),
    "thick": (0.13, 0.17), "ankle": (0.6, 0.8), "zigzag": (0.0, 0.2), "neck": (1.1, 2.0), "rise": (0.1, 1.1),
    "nape": (0.5, 0.6), "head": (0.1, 0.14), "snout": (0.5, 1.0), "ear": (0.0, 0.0), "tail": (1.2, 2.0),
    "tailthick": (0.5, 0.7), "droop": (0.2, 0.7), "curl": (-0.6, 0.0), "tuft": (0.0, 0.0), "mane": (0.0, 0.0),
    "sitting": (0.0, 0.0),
}  # fmt: skip
MOUSE: Ranges = {
    "chest": (0.24, 0.34), "wide": (0.85, 1.05), "belly": (1.0, 1.2), "haunch": (1.05, 1.3),
    "arch": (0.05, 0.16), "leg": (0.3, 0.45), "thick": (0.07, 0.11), "zigzag": (0.8, 1.1),
    "neck": (0.15, 0.25), "rise": (0.0, 0.5), "nape": (0.7, 0.85), "head": (0.18, 0.25), "snout": (0.5, 1.0),
    "muzzle": (0.4, 0.5), "ear": (0.3, 1.1), "earwide": (0.4, 0.5), "tail": (0.1, 1.4),
    "tailthick": (0.08, 0.5), "droop": (-0.2, 0.8), "mane": (0.0, 0.0), "sitting": (0.3, 0.4),
    "upright": (0.3, 0.5),
}  # fmt: skip
HARE: Ranges = {
    **MOUSE, "ear": (1.2, 2.6), "earwide": (0.15, 0.28), "spread": (0.1, 0.5), "tail": (0.08, 0.15),
    "tailthick": (0.3, 0.4), "leg": (0.45, 0.6), "neck": (0.25, 0.4),
}  # fmt: skip
SQUIRREL: Ranges = {
    **MOUSE, "chest": (0.2, 0.28), "tail": (0.9, 1.4), "tailthick": (0.6, 1.0), "droop": (-1.4, -0.4),
    "curl": (-1.2, 0.8), "tuft": (0.5, 0.6), "upright": (0.5, 0.7),
}  # fmt: skip
KANGAROO: Ranges = {
    "chest": (0.16, 0.22), "belly": (1.0, 1.3), "haunch": (1.3, 1.6), "leg": (0.7, 0.9),
    "thick": (0.08, 0.11), "zigzag": (0.8, 1.1), "foot": (1.8, 2.4), "neck": (0.25, 0.4), "rise": (0.5, 1.1),
    "snout": (0.9, 1.3), "head": (0.11, 0.14), "ear": (1.0, 1.5), "tail": (0.9, 1.3),
    "tailthick": (0.35, 0.5), "droop": (0.3, 0.9), "curl": (-0.8, -0.3), "upright": (0.9, 1.0),
}  # fmt: skip
MONKEY: Ranges = {
    "chest": (0.19, 0.32), "wide": (0.75, 0.95), "belly": (0.85, 1.1), "haunch": (0.7, 0.95),
    "leg": (0.7, 1.0), "thick": (0.09, 0.13), "ankle": (0.6, 0.8), "zigzag": (0.3, 0.8), "foot": (1.3, 1.7),
    "neck": (0.15, 0.3), "rise": (0.6, 1.2), "head": (0.17, 0.23), "snout": (0.2, 0.6), "muzzle": (0.5, 0.65),
    "ear": (0.3, 0.5), "spread": (1.3, 1.7), "tail": (0.0, 1.4), "tailthick": (0.12, 0.2),
    "curl": (-1.2, 1.2), "mane": (0.0, 0.0), "ruff": (0.0, 0.5), "sitting": (0.3, 0.4),
    "upright": (0.35, 0.5),
}  # fmt: skip
WEASEL: Ranges = {
    "chest": (0.12, 0.18), "wide": (0.85, 1.1), "arch": (0.0, 0.12), "leg": (0.25, 0.4),
    "thick": (0.06, 0.08), "neck": (0.3, 0.45), "nape": (0.65, 0.8), "head": (0.1, 0.14), "snout": (0.5, 0.9),
    "ear": (0.3, 0.6), "tail": (0.4, 0.9), "tailthick": (0.25, 0.6), "sitting": (0.1, 0.2),
    "upright": (0.2, 0.4),
}  # fmt: skip

FAMILIES: dict[str, tuple[Ranges, ...]] = {
    "giant": (GIANT, GIANT, RHINO, HIPPO),
    "carnivore": (BEAR, CAT, CAT, DOG, DOG, WEASEL),
    "hoofed": (HORSE, CATTLE, GOAT, DEER, PIG),
    "longneck": (CAMEL, GIRAFFE, LLAMA, SAUROPOD),
    "rodent": (MOUSE, HARE, SQUIRREL, KANGAROO),
    "monkey": (MONKEY,),
}
ALL = tuple(breed for breeds in FAMILIES.values() for breed in breeds)
BLENDED = 0.25  # share that has something of another breed


def born(random: np.random.Generator, family: str) -> Build:
    """A random build of a family."""
    build = _one(random, FAMILIES[family])
    if random.random() < BLENDED:
        other, share = _one(random, ALL), random.uniform(0.1, 0.6)
        build = {name: (1 - share) * size + share * other[name] for name, size in build.items()}
    return build


def _one(random: np.random.Generator, breeds: tuple[Ranges, ...]) -> Build:
    ranges = {**ANY, **breeds[random.integers(len(breeds))]}
    return {name: float(random.uniform(low, high)) for name, (low, high) in ranges.items()}
