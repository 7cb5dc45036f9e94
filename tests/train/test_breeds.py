"""Breeds of four-legged animals as data."""

import hashlib

import numpy as np
import pytest

from train.data.procedural.clouds import procedural_clouds
from train.data.procedural.fauna.breeds import MEASURES, PATH, breeds, random_build, read_breeds

TEXT = PATH.read_text(encoding="utf-8")


def test_breeds_take_defaults_and_extend_each_other():
    table = breeds()
    assert len(table.ranges) == 21
    assert all(tuple(ranges) == MEASURES for ranges in table.ranges.values())
    mouse, hare, pig = (table.ranges[name] for name in ("mouse", "hare", "pig"))
    assert hare["upright"] == mouse["upright"] == (0.3, 0.5)  # extends mouse,
    assert hare["ear_length"] == (1.2, 2.6)  # with other ears
    assert pig["upright"] == (0.0, 0.02)  # a default
    assert table.families["giant"] == ("giant", "giant", "rhino", "hippo")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "\ntail_tuft = [0.3, 0.9]",
            "\ntail_tufd = [0.3, 0.9]",
            "giant: .* 'tail_tufd'. Did you mean tail_tuft",
        ),
        ('extends = "mouse"', 'extends = "muose"', "hare, extends: there is no 'muose'. Did you mean mouse"),
        ('"rhino", "hippo"]', '"rhino", "hipo"]', "giant: there is no 'hipo'. Did you mean hippo"),
        ("[0.36, 0.48]", "[0.48, 0.36]", r"giant: chest_height must be \[low, high\], not \[0.48, 0.36\]"),
        ("[0.36, 0.48]", "0.4", r"giant: chest_height must be \[low, high\], not 0.4"),
        ("\nupright = [0.0, 0.02]", "", "defaults: there is no range for upright"),
    ],
)
def test_mistakes_are_named(old, new, sentence):
    assert old in TEXT
    with pytest.raises(ValueError, match=sentence):
        read_breeds(TEXT.replace(old, new, 1))


def test_builds_stay_within_their_family():
    random = np.random.default_rng(0)
    for _ in range(200):
        build = random_build(random, "hoofed")
        assert build.trunk_length < 0.8  # at most a share of a giant's
        assert build.chest_height < 0.48


def test_objects_of_a_seed_stay_the_same():
    """The points' order depends on floating-point sums, so the hash is of rounded values."""
    clouds = procedural_clouds(34, 1, 200, 7)
    digest = hashlib.sha256()
    for cloud in clouds:
        digest.update(cloud.name.encode())
        digest.update(np.round(cloud.matrices.astype(np.float64), 3).astype(np.float32).tobytes())
        digest.update(cloud.colors.tobytes())
    assert digest.hexdigest()[:16] == "f1d13ae3a32efa14"
