"""Other bodies out of the same mesh: fatter, longer, bent.

There are few animals and one sort of people among the training meshes. Warped, they teach how thick
things are that look a certain way from their side, and not which mesh this is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from train.zeroad.mesh import Clip, FloatArray

STRETCH = 0.14  # standard deviation of the logarithm, of each axis
SWELL = 0.12  # and of its change along the body
BEND = 0.06  # half sizes by which the ends of a body are turned aside
UNWARPED = 0.25  # share of clips that are left alone


def warped(clip: Clip, random: np.random.Generator) -> Clip:
    """The clip with all its parts in all frames seen through one random, smooth, mostly symmetric warp."""
    if random.random() < UNWARPED:
        return clip
    points = np.concatenate(clip.points(0))
    low, high = points.min(0), points.max(0)
    centre, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-6)
    centre[0] = 0  # where the model's plane of symmetry is, and stays
    stretch = random.normal(0, STRETCH, 3)
    swells = random.normal(0, SWELL, (3, 2))
    waves, phases = random.uniform(0.5, 1.5, (3, 2)), random.uniform(-np.pi, np.pi, (3, 2))
    bend = random.normal(0, BEND)

    def moved(vertices: FloatArray) -> NDArray[np.float32]:
        place = (vertices - centre) / half
        along = place[..., 1:]  # y and z: what is left and right of the middle swells alike
        powers = stretch + sum(
            swells[:, k] * np.sin(np.pi * waves[:, k] * along[..., k, None] + phases[:, k]) for k in range(2)
        )
        place = place * np.exp(powers)
        place[..., 0] += bend * along[..., 1] * np.abs(along[..., 1])
        return (centre + half * place).astype(np.float32)

    return Clip(tuple(replace(part, vertices=moved(part.vertices)) for part in clip.parts))
