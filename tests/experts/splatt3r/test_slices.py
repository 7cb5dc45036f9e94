"""The original network's numbers that lie in `data`, and what each mistake would do to them."""

import hashlib
import json

import pytest
import torch

from ar4d.experts.splatt3r import activations
from ar4d.experts.splatt3r.checkpoint import PREFIX
from ar4d.experts.splatt3r.config import PUBLISHED
from ar4d.experts.splatt3r.network import Splatt3rNetwork
from tests.experts.splatt3r.cut_slices import DATA
from tests.experts.splatt3r.mistakes import MISTAKES
from tests.experts.splatt3r.slices import excesses
from tests.experts.splatt3r.whole import attributes
from tests.support.toy_networks import hashed
from tests.support.toy_splatt3r import toy_splatt3r

PUBLISHED_KEYS = "776f482df3487c92197226c443b6c762a61a888522dffd56d8526c1131cab79a"
"""SHA-256 over the lines "key shape" of the 1,112 weights that the original needs, sorted."""
NOT_IN_SLICES = {"one head for both", "last decoder output not normalised", "views swapped"}
"""Mistakes in how the parts are put together; they show in the whole chain."""
ATTRIBUTES = ("means", "scales", "rotations", "sh", "opacities", "covariances")


def test_the_published_keys_and_shapes():
    with torch.device("meta"):
        state = Splatt3rNetwork(PUBLISHED).state_dict()
    lines = sorted(f"{PREFIX}{key} {list(value.shape)}\n" for key, value in state.items())
    assert len(lines) == 1112
    assert sum(value.numel() for value in state.values()) == 606_855_716
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == PUBLISHED_KEYS


def test_parts_give_the_originals_numbers():
    errors = excesses()
    print({name: f"{error:.2f}" for name, error in errors.items()})
    assert len(errors) == 26
    assert max(errors.values()) <= 1, max(errors, key=lambda name: errors[name])


def chain() -> dict[str, torch.Tensor]:
    """Gaussians of the toy network from two pictures of 2 × 3 tokens, in float64; a few of them."""
    first, second = ((hashed(f"picture {i}", (1, 3, 32, 48)) + 1) / 2 for i in (1, 2))
    found = {}
    for view, raw in enumerate(toy_splatt3r(torch.float64)(first, second), 1):
        made = attributes(activations.activate(raw, (first, second)[view - 1]))
        for name in ATTRIBUTES:
            values = made[name].flatten()
            found[f"view{view}.{name}"] = values[torch.arange(0, len(values), len(values) // 7)[:7]]
    return found


def departure(found: dict[str, torch.Tensor]) -> float:
    """The largest difference to the recorded numbers, in units of 1e-9 of 1 + the number."""
    recorded = json.loads((DATA / "chain.json").read_text())
    assert recorded.keys() == found.keys()
    errors = []
    for name, values in recorded.items():
        expected = torch.tensor(values, dtype=torch.float64)
        errors.append((found[name] - expected).abs() / (1e-9 * (1 + expected.abs())))
    return max(float(error.nan_to_num(nan=1e30).max()) for error in errors)


def test_the_whole_chain_stays_as_it_was_when_it_matched_the_original():
    assert departure(chain()) <= 100


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_is_caught(name, monkeypatch):
    MISTAKES[name](monkeypatch)
    assert departure(chain()) > 1e4
    worst = max(excesses().values())
    assert (worst > 1) == (name not in NOT_IN_SLICES), worst
