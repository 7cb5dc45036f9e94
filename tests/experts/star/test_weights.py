"""The weights file: whole, damaged, missing."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ar4d.errors import UserError
from ar4d.experts.star.codec import Codec
from ar4d.experts.star.config import CODECS, STARS
from ar4d.experts.star.transformer import Star
from ar4d.experts.star.weights import Networks, found_weights, load_networks, save_networks


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "star.safetensors"
    save_networks(path, Networks(Codec(CODECS["test"]), Star(CODECS["test"], STARS["test"])))
    return path


def test_the_networks_come_back_with_their_sizes(file):
    networks = load_networks(file)
    assert networks.codec.config == CODECS["test"]
    assert networks.star.config == STARS["test"]
    stored = load_file(file)["codec.codebooks.books"]
    assert torch.equal(networks.codec.codebooks.books, stored.float())
    assert found_weights(file) == file


@pytest.mark.parametrize("damage", ["cut", "text", "other", "infinite", "missing"])
def test_a_damaged_file_is_named(file, tmp_path, damage):
    path = tmp_path / "bad.safetensors"
    if damage == "cut":
        path.write_bytes(file.read_bytes()[:-1000])
    elif damage == "text":
        path.write_text("no weights")
    elif damage == "other":
        save_file({"x": torch.zeros(2)}, path)
    elif damage == "infinite":
        tensors = load_file(file)
        tensors["star.start"] = tensors["star.start"] * torch.inf
        with safe_open(file, "pt") as whole:
            save_file(tensors, path, metadata=whole.metadata())
    with pytest.raises(UserError, match=r"bad\.safetensors does not hold the weights of the engine star"):
        load_networks(path)


def test_without_weights_the_engine_says_how_to_make_them(tmp_path):
    with pytest.raises(UserError, match=r"train\.star\.export"):
        found_weights(tmp_path / "none.safetensors")
