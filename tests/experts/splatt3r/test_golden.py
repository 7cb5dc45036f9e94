"""Our network against everything that the original code computed (see `golden_paths`)."""

import json
import math

import pytest
import torch

from ar4d.experts.splatt3r.activations import activate
from ar4d.experts.splatt3r.checkpoint import PREFIX, UNUSED
from ar4d.experts.splatt3r.config import PUBLISHED
from ar4d.experts.splatt3r.focal import weiszfeld_focal
from ar4d.experts.splatt3r.network import Splatt3rNetwork, normalized
from ar4d.experts.splatt3r.picture import resized
from tests.experts.splatt3r.mistakes import MISTAKES
from tests.experts.splatt3r.whole import CONFIG, FILE, attributes, excesses, network_of, outputs
from tests.support.golden_paths import golden_path, golden_tensors, needs_golden

pytestmark = [pytest.mark.golden, needs_golden]


@pytest.fixture(scope="module")
def golden():
    return golden_tensors(FILE)


@pytest.fixture(scope="module")
def right(golden):
    return outputs(golden)


def recorded() -> dict:
    return json.loads(golden_path(FILE).with_suffix(".json").read_text())


def test_original_keys():
    listed = json.loads(golden_path("splatt3r_keys.json").read_text())
    with torch.device("meta"):
        ours = Splatt3rNetwork(PUBLISHED).state_dict()
    used = [key for key in listed["keys"] if not UNUSED.fullmatch(key)]
    assert [PREFIX + key for key in ours] == used
    assert {PREFIX + key: list(value.shape) for key, value in ours.items()} == {
        key: listed["keys"][key] for key in used
    }
    assert set(listed["keys"]) - set(used) == set(listed["encoder_not_needed"])
    assert all(UNUSED.fullmatch(key) for key in listed["to_ignore"])
    assert sum(value.numel() for value in ours.values()) == listed["num_params_needed"]


def test_original_toy_keys():
    used = [key for key in recorded()["key_order"] if key.startswith(PREFIX) and not UNUSED.fullmatch(key)]
    assert [PREFIX + key for key in Splatt3rNetwork(CONFIG).state_dict()] == used


def test_original_outputs(golden, right):
    errors = excesses(right, golden)
    print({name: f"{error:.2f}" for name, error in errors.items()})
    assert len(errors) == 57
    assert max(errors.values()) <= 1, max(errors, key=lambda name: errors[name])


def test_original_positions(golden):
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    assert torch.equal(torch.stack([rows, columns], -1).reshape(1, 16, 2), golden["sq.positions"])


def test_original_outputs_in_float64(golden):
    network = network_of(golden, torch.float64)
    first, second = (golden[f"sq.image{view}"] for view in (1, 2))
    encoded1, encoded2 = (network.encode(normalized(picture).double()) for picture in (first, second))
    tokens1, tokens2 = network.decode(encoded1, encoded2, (4, 4))
    maps = network.downstream_head1(tokens1, (4, 4)), network.downstream_head2(tokens2, (4, 4))
    for view, (raw, picture) in enumerate(zip(maps, (first, second), strict=True), 1):
        made = attributes(activate(raw, picture.double()))
        for name in ("means", "scales"):
            error = (made[name] - golden[f"sq.view{view}.{name}_f64"]).abs().max().item()
            print(f"view {view}, {name}: {error:.1e}")
            assert error < 1e-9


def test_original_focal_lengths(golden):
    expected = recorded()["focal"]
    assert weiszfeld_focal(golden["focal.points"][0]) == pytest.approx(expected["weiszfeld"], abs=1e-3)
    points = golden["sq.view1.pts3d"][0]
    assert weiszfeld_focal(points) == pytest.approx(expected["sq.view1.pts3d"]["weiszfeld"], abs=1e-3)


@pytest.mark.parametrize("case", ["down", "up", "same"])
def test_original_pictures(golden, case):
    """The original resizes the short side to 64 and cuts the middle square out."""
    given, expected = golden[f"prepare.{case}.in"], golden[f"prepare.{case}.out"]
    scale = 64 / min(given.shape[:2])
    height, width = (round(length * scale) for length in given.shape[:2])
    shown = resized(given.float() / 255, height, width)
    top, left = (height - 64) // 2, (width - 64) // 2
    shown = (255 * shown[top : top + 64, left : left + 64]).round()
    assert torch.equal(shown.to(torch.uint8), expected)


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_moves_our_network_as_it_moved_the_original(golden, right, name, monkeypatch):
    MISTAKES[name](monkeypatch)
    after = outputs(golden)
    assert max(excesses(after, golden).values()) > 1
    expected = recorded()["sensitivity"][name]
    if name == "views swapped":
        expected.pop("sh")  # the original's colours took the other picture as well
    for attribute, change in expected.items():
        tensor = attribute.replace("view2.", "sq.view2.") if "view2" in attribute else f"sq.view1.{attribute}"
        moved = (after[tensor] - right[tensor]).abs().max().item()
        print(f"{attribute}: {moved:.3g}, the original by {change:.3g}")
        if change < 1e30 and not math.isinf(moved):
            assert moved == pytest.approx(change, rel=0.05, abs=1e-4)


def test_the_original_lists_no_other_mistakes():
    assert set(recorded()["sensitivity"]) - {"nothing changed (control)"} == set(MISTAKES)
