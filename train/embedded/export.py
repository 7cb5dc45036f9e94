"""Writes two checkpoints' averaged weights as the file that comes with the program.

    python -m train.embedded.export --expert RUN/last.pt --facing RUN/last.pt

The file is in half precision and in the safetensors format. The command prints its SHA-256, which belongs
into `ar4d/experts/embedded/expert.py`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from safetensors.torch import load_file, save_file

from ar4d.experts.embedded.expert import WEIGHTS


@dataclass(frozen=True)
class Options:
    """Export the embedded expert's weights."""

    expert: Path
    """last.pt of a run of train.embedded.train_reconstruction."""
    facing: Path
    """last.pt of a run of train.embedded.train_facing."""
    before: Path | None = None
    """Earlier weights to blend the facing network with."""
    keep: float = 0.0
    """Weight of the earlier weights: after a short run on other pictures, some of them improves both."""
    out: Path = WEIGHTS
    """The safetensors file."""


def main(argv: Sequence[str]) -> None:
    """Write the file and print its SHA-256."""
    options = tyro.cli(Options, prog="python -m train.embedded.export", args=argv)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    weights = {}
    for prefix, path in (("network.", options.expert), ("facing.", options.facing)):
        state = torch.load(path, map_location="cpu", weights_only=True)["average"]
        weights |= {prefix + name: tensor for name, tensor in state.items()}
    if options.before is not None:
        earlier = load_file(options.before)
        for name in weights:
            if name.startswith("facing."):
                weights[name] = torch.lerp(weights[name].float(), earlier[name].float(), options.keep)
    weights = {name: tensor.half().contiguous() for name, tensor in weights.items()}
    save_file(weights, options.out)
    print(hashlib.sha256(options.out.read_bytes()).hexdigest())


if __name__ == "__main__":
    main(sys.argv[1:])
