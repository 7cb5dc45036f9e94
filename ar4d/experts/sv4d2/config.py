"""The two published models of SV4D 2.0 (arXiv 2503.16396), and where their weights are.

Shapes are those of `scripts/sampling/configs/sv4d2.yaml` and `sv4d2_8views.yaml` in
Stability-AI/generative-models. Both models have the same networks; they differ in how many views and
frames they draw at a time, in their view attention and in their training.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ar4d.weights.release import Release

LICENCE = "Stability AI Community License (free below US$ 1 M of annual revenue)"
LATENT_CHANNELS = 4
LATENT_SCALE = 0.18215
"""Latents that are diffused are the autoencoder's times this; latents that condition are not scaled."""

ViewAttention = Literal["runs", "pixel", "frame"]
"""Which tokens of a frame attend to one another in the view blocks (see `sequences`)."""
Guidance = Literal["linear", "triangle"]


@dataclass(frozen=True)
class DenoiserConfig:
    """Shape of the U-Net; the names are the original's, the defaults those of both published models."""

    in_channels: int = 8
    """Noisy latents, then the input frame's."""
    out_channels: int = 4
    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (4, 2, 1)
    """Downsampling factors at which there are transformers."""
    num_head_channels: int = 64
    context_dim: int = 1024
    """Channels of a frame's CLIP token."""
    motion_context_dim: int = LATENT_CHANNELS
    """Channels of a reference view's latents."""
    sigma_channels: int = 256
    angle_channels: int = 512

    @property
    def vector_channels(self) -> int:
        """Channels of [σ-embedding, polar angle, azimuth]."""
        return self.sigma_channels + 2 * self.angle_channels


@dataclass(frozen=True)
class AutoencoderConfig:
    """Shape of Stable Diffusion's KL autoencoder."""

    ch: int = 128
    ch_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2

    @property
    def factor(self) -> int:
        """Pixels per latent, along one side."""
        return 2 ** (len(self.ch_mult) - 1)


@dataclass(frozen=True)
class ClipConfig:
    """Shape of OpenCLIP's picture tower; the default is ViT-H/14."""

    width: int = 1280
    layers: int = 32
    heads: int = 16
    patch_size: int = 14
    image_size: int = 224
    embed_dim: int = 1024


@dataclass(frozen=True)
class Sv4d2Config:
    """One published model and how its authors sample it."""

    name: str
    release: Release
    frames: int
    """T: frames of a pass."""
    azimuths_deg: tuple[float, ...]
    """Azimuths of the V views relative to the input view, as trained."""
    orthogonal_deg: tuple[float, ...]
    """V azimuths with 90, 180 and 270 degrees among them, which stage 2 takes; off the training's grid."""
    view_attention: ViewAttention
    guidance: Guidance
    guidance_range: tuple[float, float]
    size: int = 576
    """Width and height of the pictures, as trained."""
    steps: int = 50
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)

    @property
    def views(self) -> int:
        """V: views that are drawn; the input view is not among them."""
        return len(self.azimuths_deg)

    @property
    def latent_size(self) -> int:
        return self.size // self.autoencoder.factor


def _release(file: str) -> Release:
    return Release(repo="stabilityai/sv4d2.0", files=(file,), gib=11.2, licence=LICENCE)


SV4D2 = Sv4d2Config(
    name="SV4D 2.0",
    release=_release("sv4d2.safetensors"),
    frames=12,
    azimuths_deg=(60.0, 120.0, 180.0, 240.0),
    orthogonal_deg=(90.0, 180.0, 270.0, 315.0),
    view_attention="runs",
    guidance="linear",
    guidance_range=(1.0, 2.0),
)
SV4D2_8VIEWS = Sv4d2Config(
    name="SV4D 2.0, 8 views",
    release=_release("sv4d2_8views.safetensors"),
    frames=5,
    azimuths_deg=(30.0, 75.0, 120.0, 165.0, 210.0, 255.0, 300.0, 330.0),
    orthogonal_deg=(30.0, 60.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0),
    view_attention="pixel",
    guidance="triangle",
    guidance_range=(1.5, 2.5),
)
