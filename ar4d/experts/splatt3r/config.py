"""The size in which Splatt3R was published (arXiv 2408.13912; btsmart/splatt3r, `configs/main.yaml`)."""

from __future__ import annotations

from dataclasses import dataclass

from ar4d.weights.release import Release

PATCH = 16  # pixels of a token's side
SIDE = 512  # pixels of the longer side, as trained
HOOKS = (0, 6, 9, 12)
"""Where the heads listen: 0 is the encoder's output, i is the output of decoder block i, counted from 1."""
POINT_CHANNELS = 4  # xyz, confidence
GAUSSIAN_CHANNELS = 14  # offset 3, scale 3, rotation 4 (xyzw), colour residual 3, opacity 1
ROPE_BASE = 100.0
NORM_EPS = 1e-6

LICENCE = "CC BY-NC 4.0 (weights derived from MASt3R, CC BY-NC-SA 4.0; no commercial use)"
"""What has to be accepted before the weights are used."""
CHECKPOINT = "epoch=19-step=1200.ckpt"
WEIGHTS = Release(
    repo="brandonsmart/splatt3r_v1.0",
    files=(CHECKPOINT,),
    gib=3.1,
    licence="CC BY-NC 4.0",
)


@dataclass(frozen=True)
class Splatt3rConfig:
    """Widths and depths: a ViT encoder, two decoders that look at each other, and DPT heads."""

    enc_embed_dim: int = 1024
    enc_depth: int = 24
    enc_num_heads: int = 16
    dec_embed_dim: int = 768
    dec_depth: int = 12
    dec_num_heads: int = 12
    mlp_ratio: int = 4
    dpt_layer_dims: tuple[int, int, int, int] = (96, 192, 384, 768)
    dpt_feature_dim: int = 256
    dpt_last_dim: int = 128


PUBLISHED = Splatt3rConfig()
"""607 million parameters that take part in making Gaussians."""
