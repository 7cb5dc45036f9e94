"""Sizes of the networks after 4DSTAR, from one for tests to the paper's.

The paper names few numbers. Its own are: 256² pictures in 256 tokens, UniTok's eight codebooks, 24 times,
and over 40,000 tokens, which 8 views with the clip as the first one give (24 · 7 · 256 = 43,008). All others
are defaults of this project; see docs/research/star.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

History = Literal["container", "pooled", "all", "none"]
Canonical = Literal["first", "each"]


@dataclass(frozen=True)
class CodecConfig:
    """Shape of the 4D VQ-VAE."""

    size: int = 64
    """Width and height of the pictures."""
    stem: tuple[int, ...] = (32, 64)
    """Channels after each halving of the picture but the last one, which gives `width`."""
    width: int = 160
    heads: int = 5
    encoder_blocks: int = 2
    decoder_blocks: int = 3
    codebooks: int = 4
    entries: int = 512
    """Codes of each codebook."""
    code_width: int = 8
    """Dimensions of a code."""
    azimuths_deg: tuple[float, ...] = (0.0, 90.0, 180.0, 270.0)
    """Of the views; the first is the clip's own."""
    splats: int = 4
    """Gaussians along each side of a token."""
    window: int = 4
    """Times that are decoded together; the first of them is the canonical one."""
    refine_width: int = 48
    """Channels of the 3D convolutions."""
    stop: bool = True
    """Ablation switch: off, a time's Gaussians do not look at the other times."""
    canonical: Canonical = "first"
    """first: every time is the first one's Gaussians and an offset. each: its own and an offset."""

    @property
    def views(self) -> int:
        return len(self.azimuths_deg)

    @property
    def side(self) -> int:
        """Tokens along each side of a picture."""
        return self.size >> (len(self.stem) + 1)

    @property
    def tokens(self) -> int:
        """Tokens of a picture."""
        return self.side**2

    @property
    def grid(self) -> int:
        """Gaussians along each side of a picture."""
        return self.side * self.splats

    @property
    def num_gaussians(self) -> int:
        """Gaussians of a time, all views together."""
        return self.views * self.grid**2


@dataclass(frozen=True)
class StarConfig:
    """Shape of STAR, the transformer over the tokens."""

    width: int = 192
    heads: int = 6
    blocks: int = 6
    states: int = 64
    """Tokens into which the history is merged."""
    neighbours: int = 5
    """k of DPC-KNN."""
    history: History = "container"
    """What a group knows of the earlier ones: merged states, averages of as many runs of tokens, all tokens,
    or nothing."""
    history_groups: int = 8
    """Groups that the history holds: the first one and the latest. It bounds the cost of a frame."""
    ahead: int = 2
    """Frames of the clip after the present one that the history holds."""
    furthest: int = 8
    """Times that are further away than so many frames are marked alike."""
    guess: bool = False
    """Whether each token is predicted from the embedded expert's guess of it, as well; not of the paper."""
    text_width: int = 0
    """Width of a text encoder's features; 0: without text."""
    dropout: float = 0.0


CODECS: dict[str, CodecConfig] = {
    "test": CodecConfig(
        size=8, stem=(8,), width=32, heads=2, encoder_blocks=1, decoder_blocks=1, codebooks=2, entries=16,
        code_width=4, splats=2, window=3, refine_width=8,
    ),
    "mini": CodecConfig(stem=(16, 32), width=96, heads=4, encoder_blocks=1, decoder_blocks=2, window=3),
    "tiny": CodecConfig(stem=(24, 48), width=128, heads=4),
    "small": CodecConfig(),
    "base": CodecConfig(stem=(48, 96), width=256, heads=8, encoder_blocks=4, decoder_blocks=6),
    "paper": CodecConfig(
        size=256, stem=(128, 256, 512), width=1024, heads=16, encoder_blocks=14, decoder_blocks=8,
        codebooks=8, entries=4096, azimuths_deg=tuple(45.0 * view for view in range(8)), window=8,
        refine_width=256, canonical="each",
    ),
}  # fmt: skip
STARS: dict[str, StarConfig] = {
    "test": StarConfig(width=32, heads=2, blocks=2, states=6, neighbours=3, history_groups=3, ahead=1),
    "tiny": StarConfig(width=128, heads=4, blocks=4),
    "small": StarConfig(),
    "base": StarConfig(width=256, heads=8, blocks=8),
    "large": StarConfig(width=384, heads=12, blocks=12),
    "paper": StarConfig(
        width=1024, heads=16, blocks=24, states=256, history_groups=24, ahead=23, text_width=2048, dropout=0.1
    ),
}
