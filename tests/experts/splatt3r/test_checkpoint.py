"""The published layout through the real path: from a folder and from the hub, whole, cut short and wrong."""

import argparse
import os
import pickle
from pathlib import Path

import pytest
import torch

from ar4d.errors import UserError
from ar4d.experts.splatt3r import Splatt3r
from ar4d.experts.splatt3r.checkpoint import load_checkpoint, read_weights
from ar4d.experts.splatt3r.config import CHECKPOINT, WEIGHTS
from ar4d.experts.splatt3r.network import Splatt3rNetwork
from tests.support.hub_mirror import Mirror
from tests.support.toy_splatt3r import TOY, published_state, save_splatt3r, toy_splatt3r


def loaded(path: Path) -> Splatt3rNetwork:
    with torch.device("meta"):
        network = Splatt3rNetwork(TOY)
    load_checkpoint(network, path, "cpu")
    return network


def refused(path: Path) -> str:
    with pytest.raises(UserError) as refusal:
        loaded(path)
    message = str(refusal.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def same_weights(network: object) -> bool:
    assert isinstance(network, Splatt3rNetwork)
    expected = toy_splatt3r().state_dict()
    found = network.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)


def test_a_folder_gives_every_weight(tmp_path):
    path = save_splatt3r(tmp_path)
    expert = Splatt3r.load("cpu", path.parent, config=TOY)
    assert same_weights(expert.network)


def test_the_file_really_holds_what_torch_refuses(tmp_path):
    """Else the stand-ins would be tested by nothing."""
    path = save_splatt3r(tmp_path)
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    assert {"omegaconf.dictconfig.DictConfig", "omegaconf.nodes.AnyNode", "typing.Any"} <= set(names)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def test_the_hub_serves_it_once(tmp_path, mirror: Mirror):
    save_splatt3r(tmp_path / "hub")
    assert Splatt3r.available("cpu") is None
    for _ in range(2):
        assert same_weights(Splatt3r.load("cpu", config=TOY).network)
    assert [name for name, _ in mirror.requests] == [CHECKPOINT]


def test_a_broken_download_goes_on(tmp_path, mirror: Mirror, monkeypatch):
    import huggingface_hub.file_download as client

    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)
    save_splatt3r(tmp_path / "hub")
    mirror.break_after = 200_000
    assert same_weights(Splatt3r.load("cpu", config=TOY).network)
    assert [start > 0 for _, start in mirror.requests] == [False, True]


def test_the_weights_outlive_their_file(tmp_path):
    """They are read from a mapped file; what was loaded does not change with it."""
    path = save_splatt3r(tmp_path)
    network = loaded(path)
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert same_weights(network)


def test_a_missing_a_new_and_a_reshaped_key_are_named(tmp_path):
    state = published_state()
    key = "encoder.dec_blocks2.3.cross_attn.projq.weight"
    fewer = {name: value for name, value in state.items() if name != key}
    message = refused(save_splatt3r(tmp_path, fewer))
    assert f"it lacks {key} [24, 24]; take the published file" in message
    message = refused(save_splatt3r(tmp_path, {**fewer, key.replace("projq", "q"): state[key]}))
    assert f"it lacks {key} [24, 24]; it has the unknown encoder.dec_blocks2.3.cross_attn.q.weight" in message
    message = refused(save_splatt3r(tmp_path, {**state, key: torch.zeros(24, 12)}))
    assert f"the shape of {key} is [24, 12] instead of [24, 24]" in message


def test_another_networks_checkpoint_is_refused(tmp_path):
    """MASt3R's own weights have no Gaussian heads, and no prefix."""
    mast3r = {
        key.removeprefix("encoder."): value
        for key, value in published_state().items()
        if key.startswith("encoder.") and "gaussian_dpt" not in key
    }
    message = refused(save_splatt3r(tmp_path, mast3r))
    assert "it lacks encoder.patch_embed.proj.weight [32, 3, 16, 16] and" in message
    assert "it has the unknown patch_embed.proj.weight [32, 3, 16, 16] and" in message


@pytest.mark.parametrize("kept", [0, 100, 5000, -100])
def test_a_file_that_is_cut_short_is_refused(tmp_path, kept):
    path = save_splatt3r(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    assert "bytes) is cut short or damaged; delete it and fetch it again." in refused(path)


def test_nothing_in_the_file_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = tmp_path / "trap.ckpt"
    torch.save({"state_dict": {}, "trap": Trap()}, path)
    assert "holds more than weights and training settings (posix.mkdir) and was not loaded" in refused(path)
    assert not (tmp_path / "sprung").exists()
    torch.save({"state_dict": {}, "options": argparse.Namespace(lr=1)}, path)
    assert "(argparse.Namespace) and was not loaded" in refused(path)


@pytest.mark.parametrize("content", [[1, 2], {"model": {}}, {"state_dict": {"a": 1}}])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "other.ckpt"
    torch.save(content, path)
    assert "is no Lightning checkpoint: it has no state_dict" in refused(path)


def test_a_missing_file_and_an_incomplete_folder_are_sentences(tmp_path):
    assert "There is no file" in refused(tmp_path / "none.ckpt")
    with pytest.raises(UserError, match=r"lacks epoch=19-step=1200\.ckpt of brandonsmart/splatt3r_v1\.0"):
        Splatt3r.load("cpu", tmp_path, config=TOY)


def test_the_toy_holds_what_the_published_file_holds(tmp_path):
    """Second names and all; what is read shares storage as it did."""
    weights = read_weights(save_splatt3r(tmp_path))
    scratch = "encoder.downstream_head2.gaussian_dpt.dpt.scratch"
    first, second = weights[f"{scratch}.layer3_rn.weight"], weights[f"{scratch}.layer_rn.2.weight"]
    assert first.data_ptr() == second.data_ptr()
    assert WEIGHTS.files == (CHECKPOINT,)
