"""The releases of Wan that are used, and how their authors sample them."""

from __future__ import annotations

from dataclasses import dataclass

from ar4d.weights.release import Release

FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/spiece.model",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "text_encoder/config.json",
    "transformer/config.json",
    "vae/config.json",
)
WEIGHTS = ("text_encoder/model", "transformer/diffusion_pytorch_model", "vae/diffusion_pytorch_model")


@dataclass(frozen=True)
class WanConfig:
    """One size of Wan. Memory is stated per way of using it (see `memory.py`)."""

    name: str
    release: Release
    width: int  # pixels, as trained
    height: int
    multiple: int
    """Width and height are multiples of it: the autoencoder's cell times the denoiser's patch."""
    num_frames: int  # 4 k + 1: the autoencoder takes the first frame alone, then four at a time
    fps: float
    animates: bool
    """Whether the same network sets a picture in motion (it was trained to keep a first frame)."""
    steps: int = 50
    guidance: float = 5.0
    text_tokens: int = 512
    """Length to which prompts are cut or padded, as in training."""


WAN_2_2 = WanConfig(
    name="Wan 2.2 TI2V 5B",
    release=Release(
        repo="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        files=FILES,
        gib=31.9,
        licence="Apache-2.0",
        weights=WEIGHTS,
    ),
    width=1280,
    height=704,
    multiple=32,
    num_frames=81,  # of the 121 it was trained for: a lift takes 24, and time and memory grow with them
    fps=24.0,
    animates=True,
)
WAN_2_1_SMALL = WanConfig(
    name="Wan 2.1 T2V 1.3B",
    release=Release(
        repo="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        files=FILES,
        gib=26.9,
        licence="Apache-2.0",
        weights=WEIGHTS,
    ),
    width=832,
    height=480,
    multiple=16,
    num_frames=81,
    fps=16.0,
    animates=False,
)
