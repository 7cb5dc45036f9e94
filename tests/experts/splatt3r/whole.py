"""The whole network against all tensors of the original's, recorded on random weights (`AR4D_GOLDEN`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ar4d.experts.splatt3r import activations
from ar4d.experts.splatt3r.activations import HARMONIC, PixelGaussians
from ar4d.experts.splatt3r.checkpoint import PREFIX, UNUSED
from ar4d.experts.splatt3r.config import Splatt3rConfig
from ar4d.experts.splatt3r.network import RawMaps, Splatt3rNetwork, normalized
from ar4d.experts.splatt3r.rope import Rope
from ar4d.gaussians import rotation_matrices

CONFIG = Splatt3rConfig(
    enc_embed_dim=64,
    enc_depth=3,
    enc_num_heads=4,
    dec_embed_dim=48,
    dec_depth=12,
    dec_num_heads=3,
    dpt_layer_dims=(16, 24, 32, 40),
    dpt_feature_dim=32,
    dpt_last_dim=16,
)
"""Of the network whose numbers were recorded."""
FILE = "splatt3r_toy.safetensors"
TOLERANCES = {
    "pts3d": 2e-4,
    "conf": 2e-4,
    "means": 2e-4,
    "scales": 5e-6,
    "covariances": 5e-6,
}
"""In float32; 5e-5 for everything else."""
DESCRIPTORS = ("sq.head1.local_features", "sq.view1.desc", "sq.view1.desc_conf")
"""What the original computes besides, and Gaussians do not need."""


def tolerance(name: str) -> float:
    return TOLERANCES.get(name.rpartition(".")[2], 5e-5)


def network_of(golden: Mapping[str, Tensor], dtype: torch.dtype) -> Splatt3rNetwork:
    weights = {
        key.removeprefix("weights."): value for key, value in golden.items() if key.startswith("weights.")
    }
    used = {
        key.removeprefix(PREFIX): value.to(dtype)
        for key, value in weights.items()
        if not UNUSED.fullmatch(key)
    }
    network = Splatt3rNetwork(CONFIG).to(dtype)
    network.load_state_dict(used)
    return network.eval().requires_grad_(False)


def outputs_of(module: nn.Module) -> list[Any]:
    """A list to which every output of the module will be added."""
    heard: list[Any] = []

    def listen(module: Any, inputs: Any, output: Any) -> None:
        heard.append(output)

    module.register_forward_hook(listen)
    return heard


def attributes(made: PixelGaussians) -> dict[str, Tensor]:
    """Gaussians as the original names and lays them out."""
    rotations = rotation_matrices(made.quats)
    return {
        "pts3d": made.points,
        "conf": made.confidence,
        "means": made.means,
        "scales": made.scales,
        "rotations": made.quats[..., [1, 2, 3, 0]],
        "sh": ((made.colors - 0.5) / HARMONIC)[..., None],
        "opacities": made.opacities[..., None],
        "covariances": rotations @ torch.diag_embed(made.scales**2) @ rotations.mT,
    }


def outputs(golden: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Everything that was recorded in float32, computed by our network."""
    network = network_of(golden, torch.float32)
    found = _stages(network, golden)
    cases = {
        "single": (golden["sq.image1"], None),
        "wide": (golden["wide.image1"], golden["wide.image2"]),
        "tall": (golden["tall.image1"], golden["tall.image2"]),
    }
    for case, (first, second) in cases.items():
        found |= _views(case, network(first, second), first, first if second is None else second)
    return found


def _stages(network: Splatt3rNetwork, golden: Mapping[str, Tensor]) -> dict[str, Tensor]:
    first, second = golden["sq.image1"], golden["sq.image2"]
    heard = {name: outputs_of(module) for name, module in network.named_modules()}
    maps = network(first, second)
    names = {
        "patch_embed": "patch_embed.out",
        "enc_blocks.0.attn": "enc_block0.attn",
        "enc_blocks.0": "enc_block0.out",
        "enc_norm": "encoded",
        "decoder_embed": "decoder_embed",
        "dec_blocks.0.cross_attn": "dec_block0.cross",
        "dec_blocks.0": "dec_block0.out",
        "dec_blocks2.0": "dec_block2_0.out",
        "dec_blocks.5": "decoded1.6",
        "dec_blocks2.5": "decoded2.6",
        "dec_blocks.8": "decoded1.9",
        "dec_blocks2.8": "decoded2.9",
    }
    found = {f"sq.{name}": torch.cat(heard[module]) for module, name in names.items() if heard[module]}
    for view, output in enumerate(heard["dec_norm"], 1):
        found[f"sq.decoded{view}.12"] = output
    for view, raw in enumerate(maps, 1):
        found[f"sq.head{view}.dpt"], found[f"sq.head{view}.gaussian_dpt"] = raw.points, raw.gaussians
    found["sq.input1"] = normalized(first)
    found["sq.rope.out"] = Rope.grid(4, 4, 16, golden["sq.rope.in"]).turn(golden["sq.rope.in"])
    return found | _views("sq", maps, first, second)


def _views(case: str, maps: tuple[RawMaps, RawMaps], first: Tensor, second: Tensor) -> dict[str, Tensor]:
    return {
        f"{case}.view{view}.{name}": value
        for view, (raw, picture) in enumerate(zip(maps, (first, second), strict=True), 1)
        for name, value in attributes(activations.activate(raw, picture)).items()
    }


def excesses(found: Mapping[str, Tensor], golden: Mapping[str, Tensor]) -> dict[str, float]:
    """The largest error of every recorded tensor, in tolerances; infinite where ours has none."""
    inputs = ("weights.", "focal.", "prepare.", "sq.rope.in", "sq.positions")
    names = [
        name
        for name in golden
        if not name.startswith(inputs) and "image" not in name and not name.endswith("_f64")
    ]
    return {
        name: float((found[name] - golden[name]).abs().max()) / tolerance(name) if name in found else math.inf
        for name in names
        if name not in DESCRIPTORS
    }
