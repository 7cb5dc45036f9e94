"""Cuts `data/original.safetensors.gz` out of the recorded numbers of the original network.

    AR4D_GOLDEN=FOLDER python -m tests.experts.splatt3r.cut_slices

Weights, inputs and outputs are the original's. The maps before the last layers (`fused`) and before the
coarsest fusion (`coarsest.in`) were not recorded: they are ours, in float64 from the original's weights, and
what the original made of them was recorded.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ar4d.experts.splatt3r.network import normalized
from tests.experts.splatt3r.whole import FILE, network_of, outputs_of
from tests.support.golden_paths import golden_path, golden_tensors

DATA = Path(__file__).parent / "data"
CORNER, FUSED = 5, 5
"""Pixels of the maps' first corner, and of the map at half their size from which the last layers make it."""
CHANNELS = 4
"""Of the patch embedding."""
ROWS = 8
"""Of the output channels of the encoder's attention."""
HEAD = "encoder.downstream_head1.gaussian_dpt.dpt"
WHOLE = (
    "encoder.enc_blocks.0.norm1.",
    "encoder.enc_blocks.0.attn.qkv.",
    "encoder.decoder_embed.",
    "encoder.dec_blocks2.0.",
    f"{HEAD}.head.",
    *(f"{HEAD}.act_postprocess.{level}." for level in range(4)),
    f"{HEAD}.scratch.refinenet4.out_conv.",
    f"{HEAD}.scratch.refinenet4.resConfUnit2.",
)
"""Weights that are taken as they are, by the beginning of their names."""


def main() -> None:
    golden, listed = golden_tensors(FILE), json.loads(golden_path(FILE).with_suffix(".json").read_text())
    statistics = listed["stage_statistics_head1_gaussian_dpt"]
    probed = {name: statistics[f"g1.{name}"] for name in ("act0", "act1", "act2", "act3", "ref4")}
    data = {
        **_weights(golden, probed),
        **_stages(golden),
        **_maps(golden),
        **_unrecorded(golden),
    }
    DATA.mkdir(exist_ok=True)
    content = gzip.compress(save({key: value.clone() for key, value in data.items()}), mtime=0)
    (DATA / "original.safetensors.gz").write_bytes(content)
    (DATA / "probes.json").write_text(json.dumps(probed, indent=1) + "\n")


def probed_channels(statistics: dict) -> list[int]:
    """The channels of a map [1, C, H, W] in which its probes lie."""
    height, width = statistics["shape"][2:]
    return sorted({index // (height * width) for index in statistics["probe_index"]})


def _weights(golden: dict[str, Tensor], probed: dict) -> dict[str, Tensor]:
    weights = {
        key.removeprefix("weights."): value for key, value in golden.items() if key.startswith("weights.")
    }
    rows: dict[str, slice | list[int]] = {
        "encoder.patch_embed.proj": slice(CHANNELS),
        "encoder.enc_blocks.0.attn.proj": slice(ROWS),
        "encoder.dec_blocks2.0.mlp.fc2": slice(ROWS),
        f"{HEAD}.act_postprocess.3.1": probed_channels(probed["act3"]),
    }
    whole = {key: value for key, value in weights.items() if key.startswith(WHOLE)}
    data = {f"weights.{key}": value for key, value in whole.items() if key.rpartition(".")[0] not in rows}
    for layer, chosen in rows.items():
        for kind in ("weight", "bias"):
            data[f"rows.{layer}.{kind}"] = weights[f"{layer}.{kind}"][chosen]
    for level in (0, 1):  # transposed convolutions: their outputs are the second axis
        key = f"{HEAD}.act_postprocess.{level}.1.weight"
        del data[f"weights.{key}"]
        data[f"columns.{key}"] = weights[key][:, probed_channels(probed[f"act{level}"])]
    return data


def _stages(golden: dict[str, Tensor]) -> dict[str, Tensor]:
    data = {"picture": golden["sq.image1"][..., :16, :16]}
    data["rope.in"], data["rope.out"] = (golden[f"sq.rope.{end}"][0, 0] for end in ("in", "out"))
    data["patch_embed.out"] = golden["sq.patch_embed.out"][:1]
    data["attention.out"] = golden["sq.enc_block0.attn"][:1, :, :ROWS]
    for name in ("encoded", "decoded1.6", "decoded1.9", "decoded1.12"):
        data[name] = golden[f"sq.{name}"]
    data["decoder_embed"] = golden["sq.decoder_embed"][1:]
    data["dec_block2_0.out"] = golden["sq.dec_block2_0.out"][..., :ROWS]
    return data


def _maps(golden: dict[str, Tensor]) -> dict[str, Tensor]:
    data = {}
    for view in (1, 2):
        data[f"image{view}"] = golden[f"sq.image{view}"][..., :CORNER, :CORNER]
        for head in ("dpt", "gaussian_dpt"):
            data[f"head{view}.{head}"] = golden[f"sq.head{view}.{head}"][..., :CORNER, :CORNER]
        for key, value in golden.items():
            name = key.removeprefix(f"sq.view{view}.")
            if name != key and "_f64" not in name and not name.startswith("desc"):
                data[f"view{view}.{name}"] = value[:, :CORNER, :CORNER]
    return data


def _unrecorded(golden: dict[str, Tensor]) -> dict[str, Tensor]:
    network = network_of(golden, torch.float64)
    scratch = network.downstream_head1.gaussian_dpt.dpt.scratch
    fused, coarsest = outputs_of(scratch), outputs_of(scratch.layer4_rn)
    first, second = (network.encode(normalized(golden[f"sq.image{view}"]).double()) for view in (1, 2))
    network.downstream_head1(network.decode(first, second, (4, 4))[0], (4, 4))
    return {"fused": fused[0][..., :FUSED, :FUSED].float(), "coarsest.in": coarsest[0].float()}


if __name__ == "__main__":
    main()
