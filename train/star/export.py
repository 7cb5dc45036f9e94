"""Writes the averaged networks of both trainings as the file that the engine star takes.

python -m train.star.export --codes CODES/last.pt --star STAR/last.pt --out star.safetensors
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from ar4d.experts.star.weights import Networks, save_networks
from train.star.checkpoints import codec_of, star_of


@dataclass(frozen=True)
class Options:
    """Export the weights of the engine star."""

    codes: Path
    """last.pt of a run of train.star.train_codes."""
    star: Path
    """last.pt of a run of train.star.train_star on these codes."""
    out: Path = Path("star.safetensors")
    """The safetensors file, in half precision."""


def main(argv: Sequence[str]) -> None:
    """Write the file and print its size."""
    options = tyro.cli(Options, prog="python -m train.star.export", args=argv)
    codec = codec_of(options.codes)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_networks(options.out, Networks(codec, star_of(options.star, codec)))
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
