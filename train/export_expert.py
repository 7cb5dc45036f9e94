"""Writes a checkpoint's averaged weights as the file that comes with the program.

    python -m train.export_expert --checkpoint RUN/last.pt

Half precision, safetensors. Prints the SHA-256 that `ar4d/experts/embedded/expert.py` has to know.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from safetensors.torch import save_file

from ar4d.experts.embedded.expert import WEIGHTS


@dataclass(frozen=True)
class Options:
    """Export the embedded expert's weights."""

    checkpoint: Path
    """last.pt of a run of train.train_expert."""
    out: Path = WEIGHTS
    """The safetensors file."""


def main(argv: Sequence[str]) -> None:
    """Writes the file and prints its SHA-256."""
    options = tyro.cli(Options, prog="python -m train.export_expert", args=argv)
    state = torch.load(options.checkpoint, map_location="cpu", weights_only=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    halves = {name: tensor.half().contiguous() for name, tensor in state["average"].items()}
    save_file(halves, options.out, metadata={"examples": str(state["seen"])})
    print(hashlib.sha256(options.out.read_bytes()).hexdigest())


if __name__ == "__main__":
    main(sys.argv[1:])
