"""Averaged networks out of the checkpoints of their training."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ar4d.experts.star.codec import Codec
from ar4d.experts.star.config import CodecConfig, StarConfig
from ar4d.experts.star.transformer import Star
from ar4d.records import adapter

RECORD = "network.json"
"""File beside a checkpoint: the configuration of its network."""


def write_config(out: Path, config: CodecConfig | StarConfig) -> None:
    """Writes the configuration of the network that is trained in a folder."""
    (out / RECORD).write_text(json.dumps(asdict(config), indent=1))


def codec_of(checkpoint: Path) -> Codec:
    """The averaged 4D VQ-VAE of a checkpoint of train.star.train_codes."""
    codec = Codec(_config(checkpoint, CodecConfig))
    codec.load_state_dict(_averaged(checkpoint, "codec."))
    return codec.eval().requires_grad_(False)


def star_of(checkpoint: Path, codec: Codec) -> Star:
    """The averaged STAR of a checkpoint of train.star.train_star."""
    star = Star(codec.config, _config(checkpoint, StarConfig))
    star.load_state_dict(_averaged(checkpoint, "star."))
    return star.eval().requires_grad_(False)


def _config(checkpoint: Path, kind: type) -> Any:
    path = checkpoint.parent / RECORD
    if not path.exists():
        raise SystemExit(f"{path} is missing: it belongs to the checkpoint {checkpoint.name}.")
    return adapter(kind).validate_json(path.read_bytes())


def _averaged(checkpoint: Path, prefix: str) -> dict[str, Tensor]:
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["average"]
    return {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}
