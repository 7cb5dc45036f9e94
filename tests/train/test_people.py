"""Procedural people: complete bodies that look forwards and hold what they carry."""

import numpy as np
import pytest

from train.data.procedural.anatomy import Body
from train.data.procedural.fauna.quadruped import TORSO
from train.data.procedural.parts import Part
from train.data.procedural.people import PEOPLE
from train.data.procedural.people.build import Build
from train.data.procedural.people.gear import axe, blade, bow, pole, sack, shield
from train.data.procedural.people.head import head_of
from train.data.procedural.people.person import _joints
from train.data.procedural.people.stances import Limb
from train.data.procedural.people.wardrobe import wardrobe

SEEDS = range(40)


def body(seed: int) -> Body:
    random = np.random.default_rng(seed)
    return Body(random, wardrobe(random))


def reach_to(part: Part, place: np.ndarray) -> float:
    """Distance of a place from a part's centre in half sizes; 1 on its surface."""
    return float(np.linalg.norm((place - part.centre) @ part.rotation / part.half))


def test_faces_look_along_x():
    for seed in SEEDS:
        a = body(seed)
        parts = head_of(a, 0.1)
        eyes = [p for p in parts if p.coat is a.coats["eye"]]
        assert len(eyes) == 2
        assert all(eye.centre[0] > 0.05 for eye in eyes)
        assert eyes[0].centre[2] == -eyes[1].centre[2] != 0
        bare = (a.coats["skin"], a.coats["eye"])
        hiding = [p for p in parts if not any(p.coat is coat for coat in bare)]
        assert all(reach_to(part, eye.centre) > 1 for part in hiding for eye in eyes)


def of_region(kind: str, seed: int, region: str) -> tuple[list[Part], list[Part]]:
    """All parts of a person, and those with a region's coat."""
    color = wardrobe(np.random.default_rng(seed))[region].back
    parts = PEOPLE[kind](np.random.default_rng(seed))(0.0)
    return parts, [part for part in parts if part.coat and np.array_equal(part.coat.back, color)]


def test_heads_are_on_top_of_bodies_that_stand_on_their_feet():
    for seed in SEEDS:
        parts, mouths = of_region("person", seed, "mouth")
        assert len(mouths) == 1
        mouth, lowest = mouths[0].centre[1], min(part.centre[1] for part in parts)
        assert mouth > 0.25  # above the hips, which are at 0, even of people who bend
        assert lowest < -0.4
        assert mouth - lowest > 0.9


@pytest.mark.parametrize("bends", [1, -1])
def test_joints_keep_the_length_of_a_limb_and_bend_one_way(bends):
    for bend in (0.0, 0.5, 1.5):
        for side in (1, -1):
            joints, way = _joints(np.zeros(3), 1.0, Limb(0.3, 0.2, bend), side, 0.3, bends)
            first, second = np.diff(joints, axis=0)
            assert np.linalg.norm(first) == pytest.approx(0.5)
            assert np.linalg.norm(second) == pytest.approx(0.5)
            np.testing.assert_allclose(second, 0.5 * way)
            turned = np.arctan2(second[0], -second[1]) - np.arctan2(first[0], -first[1])
            assert turned == pytest.approx(bends * bend, abs=0.1)
            assert np.sign(first[2]) == side


@pytest.mark.parametrize("thing", [pole, blade, axe, bow, shield, sack])
def test_gear_is_in_the_hand(thing):
    hand = np.array([0.3, 0.8, -0.4])
    for seed in SEEDS:
        way = np.array([np.cos(seed), -0.3, np.sin(seed)])
        parts = thing(body(seed), -1, 0.6)(hand, way / np.linalg.norm(way))
        nearest = min(np.linalg.norm(part.centre - hand) - part.half.max() for part in parts)
        assert nearest < 0.08


def test_builds_differ_and_scale():
    grown, small = Build.random(body(3)), Build.random(body(3), 0.5)
    assert small.leg == pytest.approx(0.5 * grown.leg)
    assert small.head == pytest.approx(0.5 * grown.head)
    heads = [Build.random(body(seed)).head for seed in SEEDS]
    assert max(heads) > 1.5 * min(heads)


def test_riders_sit_on_their_animals():
    for seed in SEEDS:
        _, mouths = of_region("rider", seed, "mouth")
        parts, cloths = of_region("rider", seed, "saddle")
        saddle = next(part for part in cloths if part.half[0] == 0.2)
        number = next(k for k, part in enumerate(parts) if part is saddle)
        assert 20 < number < len(parts) - 20  # the animal's parts come before it, the rider's after it
        assert saddle.centre[2] == 0
        assert len(mouths) == 1
        assert mouths[0].centre[1] > saddle.centre[1] + 0.3
        spine = parts[:TORSO]
        assert mouths[0].centre[1] > np.mean([part.centre[1] for part in spine]) + 0.15
