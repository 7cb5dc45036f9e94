"""Parts of our network against parts of the original's numbers, which lie in `data` (see its README)."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor, nn

from ar4d.experts.splatt3r import activations, network
from ar4d.experts.splatt3r.blocks import EncoderBlock
from ar4d.experts.splatt3r.checkpoint import PREFIX
from ar4d.experts.splatt3r.network import PatchEmbed, RawMaps, Splatt3rNetwork, ViewHead
from ar4d.experts.splatt3r.rope import Rope
from tests.experts.splatt3r.cut_slices import CHANNELS, CORNER, DATA, FUSED, ROWS, probed_channels
from tests.experts.splatt3r.whole import CONFIG, attributes, outputs_of, tolerance
from tests.support.toy_networks import hashed, hashed_weights

Data = Mapping[str, Tensor]


@cache
def original() -> Data:
    content = gzip.decompress((DATA / "original.safetensors.gz").read_bytes())
    # cloned: tensors of a file may be unaligned, which changes the rounding
    return {key: value.clone() for key, value in load(content).items()}


@cache
def probes() -> dict[str, Any]:
    """Five numbers, mean and deviation of maps inside the first view's Gaussian head."""
    return json.loads((DATA / "probes.json").read_text())


def excesses() -> dict[str, float]:
    """The largest error of every part, in tolerances."""
    found = _patches() | _rope() | _attention() | _decoder() | _gaussians()
    data = original()
    errors = {
        name: float((value - data[name]).abs().max()) / tolerance(name) for name, value in found.items()
    }
    return errors | _reassembly() | _fusion() | _last_layers()


def _filled(module: nn.Module, name: str) -> nn.Module:
    """Fills a module with the original's weights; what was cut off becomes 0."""
    data, state = original(), {}
    for key, value in module.state_dict().items():
        full = f"{PREFIX}{name}{key}"
        weight = torch.zeros(value.shape)
        if f"weights.{full}" in data:
            weight = data[f"weights.{full}"].float()
        elif f"rows.{full}" in data:
            rows = data[f"rows.{full}"].float()
            weight[: len(rows)] = rows
        state[key] = weight
    module.load_state_dict(state)
    return module.eval().requires_grad_(False)


def _patches() -> dict[str, Tensor]:
    embed = _filled(PatchEmbed(CHANNELS), "patch_embed.")
    made = embed(network.normalized(original()["picture"]))
    expected = original()["patch_embed.out"].clone()
    expected[:, :1, :CHANNELS] = made
    return {"patch_embed.out": expected}


def _rope() -> dict[str, Tensor]:
    given = original()["rope.in"]
    return {"rope.out": Rope.grid(4, 4, given.shape[-1], given).turn(given)}


def _attention() -> dict[str, Tensor]:
    block = EncoderBlock(CONFIG.enc_embed_dim, CONFIG.enc_num_heads, CONFIG.mlp_ratio)
    _filled(block, "enc_blocks.0.")
    heard = outputs_of(block.attn)
    given = original()["patch_embed.out"]
    block(given, Rope.grid(4, 4, CONFIG.enc_embed_dim // CONFIG.enc_num_heads, given))
    return {"attention.out": heard[0][..., :ROWS]}


def _decoder() -> dict[str, Tensor]:
    """The first layer; the first view's own block is another than the second's."""
    decoder = Splatt3rNetwork(replace(CONFIG, enc_depth=0, dec_depth=1))
    _filled(decoder, "")
    other = {
        key: value.float() for key, value in hashed_weights(decoder).items() if key.startswith("dec_blocks.")
    }
    decoder.load_state_dict(other, strict=False)
    embedded, first, second = map(
        outputs_of, (decoder.decoder_embed, decoder.dec_blocks[0], decoder.dec_blocks2[0])
    )
    encoded1, encoded2 = original()["encoded"].split(1)
    decoder.decode(encoded1, encoded2, (4, 4))
    second = second or first  # the view's own block may not have been asked
    return {"decoder_embed": embedded[1], "dec_block2_0.out": second[-1][..., :ROWS]}


def _reassembly() -> dict[str, float]:
    """What the heads make of the tokens that they take out of a decoder's list."""
    head = ViewHead(CONFIG)
    _filled(head, "downstream_head1.")
    data, levels = original(), list(head.gaussian_dpt.dpt.act_postprocess)
    for level in (0, 1):
        key = f"{PREFIX}downstream_head1.gaussian_dpt.dpt.act_postprocess.{level}.1.weight"
        columns = probed_channels(probes()[f"act{level}"])
        _layer(levels[level], 1).weight.data[:, columns] = data[f"columns.{key}"].float()
    rows = probed_channels(probes()["act3"])
    for kind in ("weight", "bias"):
        key = f"rows.{PREFIX}downstream_head1.gaussian_dpt.dpt.act_postprocess.3.1.{kind}"
        parameter = getattr(_layer(levels[3], 1), kind).data
        parameter.zero_()
        parameter[rows] = data[key].float()
    heard = [outputs_of(level) for level in levels]
    tokens = [hashed(f"tokens {i}", (1, 16, CONFIG.dec_embed_dim)).float() for i in range(13)]
    tokens[0] = data["encoded"][:1]
    for hook in (6, 9, 12):
        tokens[hook] = data[f"decoded1.{hook}"]
    try:
        head(tokens, (4, 4))
    except RuntimeError:  # a level may not fit the layer that takes it
        return {"act": math.inf}
    return {f"act{i}": _probed(f"act{i}", out, whole=False) for i, (out,) in enumerate(heard)}


def _layer(level: nn.Module, index: int) -> Any:
    return list(level.children())[index]


def _fusion() -> dict[str, float]:
    fusion = ViewHead(CONFIG).gaussian_dpt.dpt.scratch.refinenet4
    _filled(fusion, "downstream_head1.gaussian_dpt.dpt.scratch.refinenet4.")
    return {"ref4": _probed("ref4", fusion(original()["coarsest.in"]), whole=True)}


def _probed(name: str, found: Tensor, *, whole: bool) -> float:
    statistics = probes()[name]
    expected = torch.tensor(statistics["probe"])
    scale = 1 + statistics["std"]
    error = (found.flatten()[statistics["probe_index"]] - expected).abs().max() / scale
    if whole:
        measured = torch.stack([found.double().mean(), found.double().std()])
        stated = torch.tensor([statistics["mean"], statistics["std"]], dtype=torch.float64)
        error = torch.maximum(error.double(), (measured - stated).abs().max() / scale)
    return float(error) / 5e-5


def _last_layers() -> dict[str, float]:
    """A corner of the prediction from the corner of the fused map that it depends on."""
    layers = ViewHead(CONFIG).gaussian_dpt.dpt.head
    _filled(layers, "downstream_head1.gaussian_dpt.dpt.head.")
    fused = torch.zeros(1, CONFIG.dpt_feature_dim, 32, 32)
    fused[..., :FUSED, :FUSED] = original()["fused"]
    made = layers(fused)[..., :CORNER, :CORNER]
    expected = original()["head1.gaussian_dpt"]
    return {"head1.gaussian_dpt": float((made - expected).abs().max()) / 5e-5}


def _gaussians() -> dict[str, Tensor]:
    data, found = original(), {}
    for view in (1, 2):
        raw = RawMaps(data[f"head{view}.dpt"], data[f"head{view}.gaussian_dpt"])
        made = attributes(activations.activate(raw, data[f"image{view}"]))
        found |= {f"view{view}.{name}": value for name, value in made.items() if f"view{view}.{name}" in data}
    return found
