"""Procedural objects: the same parts in every pose, and symmetric animals."""

from dataclasses import replace

import numpy as np
import pytest

from train.data.procedural.anatomy import Body
from train.data.procedural.clouds import _procedural_cloud
from train.data.procedural.parts import Coat, Part
from train.data.procedural.shapes import FAUNA, KINDS, SYMMETRIC

SEEDS = range(12)
MOST_PARTS = 120


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_has_the_same_parts_in_every_pose(kind):
    looks = set()
    for seed in SEEDS:
        pose, again = (KINDS[kind](np.random.default_rng(seed)) for _ in range(2))
        poses = [pose(phase) for phase in (0.0, 0.3, 0.7)]
        assert 3 <= len(poses[0]) <= MOST_PARTS
        for parts in poses:
            assert [part.box for part in parts] == [part.box for part in poses[0]]
            for part in parts:
                assert np.isfinite(part.centre).all()
                assert np.abs(part.centre).max() < 8
                assert (part.half > 0.001).all()
                assert (part.half < 3).all()
                assert np.allclose(part.rotation @ part.rotation.T, np.eye(3), atol=1e-6)
                assert np.linalg.det(part.rotation) > 0
        for one, other in zip(poses[1], again(0.3), strict=True):
            assert np.array_equal(one.centre, other.centre)
            assert np.array_equal(one.colors_at(np.eye(3)), other.colors_at(np.eye(3)))
        looks.add(tuple(poses[0][0].half))
    assert len(looks) == len(SEEDS)


def own_points() -> np.ndarray:
    own = np.random.default_rng(0).normal(size=(60, 3))
    return own / np.linalg.norm(own, axis=1, keepdims=True)


def surface(part: Part, own: np.ndarray) -> np.ndarray:
    """Positions and colours [N, 6] of a part at its own coordinates."""
    colors = np.broadcast_to(part.colors_at(own), own.shape)
    return np.concatenate([part.centre + (own * part.half) @ part.rotation.T, colors], 1)


def mirror_error(parts: list[Part]) -> float:
    """Largest distance, in positions and colours, of a part from the most similar mirrored part."""
    own = own_points()
    flipped = own * np.array([1, 1, -1])
    all_of_them = np.stack([surface(part, own) for part in parts])
    worst = 0.0
    for part in parts:
        twin = surface(part, flipped) * np.array([1, 1, -1, 1, 1, 1])
        worst = max(worst, float(np.abs(all_of_them - twin).max((1, 2)).min()))
    return worst


@pytest.mark.parametrize("kind", FAUNA)
def test_animals_at_rest_are_symmetric(kind, monkeypatch):
    moving = [KINDS[kind](np.random.default_rng(seed))(0.3) for seed in SEEDS]
    assert np.mean([mirror_error(parts) > 0.01 for parts in moving]) > 0.6
    turned_aside = Body.askew
    monkeypatch.setattr(Body, "sway", lambda self, phase, shift=0.0: 0.0)
    monkeypatch.setattr(Body, "askew", lambda self, most: 0.0 * turned_aside(self, most))
    for seed in SEEDS:
        parts = KINDS[kind](np.random.default_rng(seed))(0.3)
        assert mirror_error(parts) < 1e-6
        aside = replace(parts[0], centre=parts[0].centre + np.array([0, 0, 0.02]))
        assert mirror_error([aside, *parts[1:]]) > 1e-3
        one = next(k for k, part in enumerate(parts) if abs(part.centre[2]) > 0.01)
        fatter = replace(parts[one], half=parts[one].half * 1.2)
        assert mirror_error([*parts[:one], fatter, *parts[one + 1 :]]) > 1e-4


def test_an_asymmetric_coat_is_detected():
    red, green, blue = np.eye(3)
    odd = Coat(red, green, blue, 0.0, np.array([[0.0, 3, 0]]), np.zeros(1), 0.0)
    part = Part(np.zeros(3), np.eye(3), np.ones(3), np.zeros((2, 3)), np.zeros(3), coat=odd)
    assert mirror_error([replace(part, cloth=np.array([[0, 0, 0], [1.0, 1, 1]]))]) < 1e-9
    rolled = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    assert mirror_error([replace(part, rotation=rolled)]) > 0.1


def test_symmetric_kinds_are_listed():
    assert set(FAUNA) < set(SYMMETRIC) < set(KINDS)


@pytest.mark.parametrize("kind", ["giant", "bird", "vehicle"])
def test_points_are_on_the_outside(kind):
    """In the first pose few points lie inside other parts: those that are visible in the other pose."""
    cloud = _procedural_cloud((kind, 1, 6000, 5))
    moves = cloud.matrices[0].astype(float)
    world = (
        np.einsum("nij,nj->ni", moves[cloud.bones[:, 0], :, :3], cloud.rest) + moves[cloud.bones[:, 0], :, 3]
    )
    deep = np.zeros(len(world), bool)
    for part, move in enumerate(moves):
        own = np.linalg.solve(move[:, :3], (world - move[:, 3]).T).T
        deep |= (np.square(own).sum(1) < 0.8) & (cloud.bones[:, 0] != part)
    assert deep.mean() < 0.01
    assert cloud.rest.shape == (6000, 3)
    assert len(np.unique(cloud.bones[:, 0])) >= 3
