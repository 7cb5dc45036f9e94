"""The published single-file checkpoints: which of their keys become which weights, and loading them.

A file holds the U-Net, the conditioner (CLIP's picture tower and three copies of the autoencoder) and the
decoder, under the names of Stability-AI/generative-models. Parts that inference never uses may be there
or not; any other difference is refused by key and shape before anything is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from ar4d.errors import UserError
from ar4d.experts.sv4d2 import autoencoder, clip_vision
from ar4d.experts.sv4d2.config import Sv4d2Config
from ar4d.experts.sv4d2.unet import DenoisingUNet
from ar4d.weights.loading import differences, read_shapes

UNET = "model.diffusion_model."
CLIP = "conditioner.embedders.0.open_clip.model.visual."
FRAME_ENCODER = "conditioner.embedders.1.encoder."
"""The encoder of the input frames; `VIEW_ENCODER` is its copy for the reference views."""
VIEW_ENCODER = "conditioner.embedders.4.encoder."
DECODER = "first_stage_model."
UNUSED = re.compile(
    r"conditioner\.embedders\.(0\.open_clip\.model\.(?!visual\.)"  # what is left of CLIP's text tower
    r"|[145]\.encoder\.(decoder|post_quant_conv)\.|5\.)"  # `cond_motion` reaches no layer
)


@dataclass(frozen=True)
class Source:
    """Where in the file a weight comes from."""

    key: str
    shape: tuple[int, ...]
    convert: Callable[[Tensor], Tensor] = lambda tensor: tensor


Sources = dict[str, Source]
"""By the weight's name in our network."""


def unet_sources(unet: DenoisingUNet) -> Sources:
    """Ours has the original's names."""
    return {key: Source(UNET + key, tuple(value.shape)) for key, value in unet.state_dict().items()}


def autoencoder_sources(network: Any, config: Sv4d2Config, encoder: str = FRAME_ENCODER) -> Sources:
    """The encoder from one of the conditioner's copies, the decoder from the first stage.

    The original's attention is made of 1 × 1 convolutions, diffusers' of linear layers.
    """
    sources = {}
    for key, value in network.state_dict().items():
        shape = tuple(value.shape)
        prefix = DECODER if key.startswith("decoder.") else encoder
        name = prefix + autoencoder.original_key(key, config.autoencoder)
        convolution = (*shape, 1, 1) if ".attentions." in key and len(shape) == 2 else shape
        sources[key] = Source(name, convolution, lambda tensor, shape=shape: tensor.reshape(shape))
    return sources


def clip_sources(tower: Any) -> Sources:
    """Query, key and value lie in one matrix in the file, and the projection is transposed."""
    return {key: _clip_source(key, tuple(value.shape)) for key, value in tower.state_dict().items()}


def _clip_source(key: str, shape: tuple[int, ...]) -> Source:
    if key == "visual_projection.weight":
        return Source(f"{CLIP}proj", shape[::-1], lambda tensor: tensor.mT)
    name = key.removeprefix("vision_model.")
    packed = re.fullmatch(r"encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)", name)
    if packed:
        place, rows = "qkv".index(packed[2]), shape[0]
        return Source(
            f"{CLIP}transformer.resblocks.{packed[1]}.attn.in_proj_{packed[3]}",
            (3 * rows, *shape[1:]),
            lambda tensor: tensor[place * rows : (place + 1) * rows],
        )
    for pattern, original in (
        (r"^embeddings\.class_embedding", "class_embedding"),
        (r"^embeddings\.position_embedding\.weight", "positional_embedding"),
        (r"^embeddings\.patch_embedding", "conv1"),
        (r"^pre_layrnorm", "ln_pre"),
        (r"^post_layernorm", "ln_post"),
        (r"^encoder\.layers\.", "transformer.resblocks."),
        (r"\.layer_norm(\d)", r".ln_\1"),
        (r"\.self_attn\.out_proj", ".attn.out_proj"),
        (r"\.mlp\.fc1", ".mlp.c_fc"),
        (r"\.mlp\.fc2", ".mlp.c_proj"),
    ):
        name = re.sub(pattern, original, name)
    return Source(CLIP + name, shape)


@dataclass(frozen=True)
class Networks:
    """All networks of one model, in evaluation mode and frozen."""

    unet: DenoisingUNet
    autoencoder: Any  # diffusers.AutoencoderKL, float32
    view_encoder: Any  # the one that encodes reference views; nearly always the same object
    clip: Any  # transformers.CLIPVisionModelWithProjection


def build_networks(config: Sv4d2Config) -> Networks:
    """All networks on the meta device: shapes and no contents."""
    with torch.device("meta"):
        vae = autoencoder.build_autoencoder(config.autoencoder)
        unet = DenoisingUNet(config.denoiser, config.view_attention)
        return Networks(unet, vae, vae, clip_vision.build_tower(config.clip))


def needed(networks: Networks, config: Sv4d2Config) -> dict[str, tuple[int, ...]]:
    """{key: shape} of everything in the file that inference uses."""
    vae = networks.autoencoder
    every = (
        unet_sources(networks.unet),
        clip_sources(networks.clip),
        autoencoder_sources(vae, config),
        autoencoder_sources(vae, config, VIEW_ENCODER),
    )
    return {source.key: source.shape for sources in every for source in sources.values()}


def check(path: Path, networks: Networks, config: Sv4d2Config) -> None:
    """Compares a file's header with the networks' shapes.

    Raises:
        UserError: the file cannot be read, lacks a weight, holds an unknown one or has one of another
            shape; names the first of each.
    """
    found = {key: shape for key, shape in read_shapes(path).items() if not UNUSED.match(key)}
    complaints = differences(found, needed(networks, config))
    if complaints:
        raise UserError(
            f"{path} does not fit {config.name}: {'; '.join(complaints)}; take the published "
            f"{config.release.files[0]}, or fetch it again: `{config.release.fetch_command}`."
        )


def load_networks(path: Path, config: Sv4d2Config, dtype: torch.dtype) -> Networks:
    """Reads a checkpoint into the machine's own memory.

    Args:
        dtype: of the U-Net and of CLIP; the autoencoder stays in float32.

    Raises:
        UserError: the file cannot be read or does not fit.
    """
    networks = build_networks(config)
    check(path, networks, config)
    vae = networks.autoencoder
    with safe_open(path, framework="pt") as file:
        _fill(networks.unet, unet_sources(networks.unet), file, dtype)
        _fill(networks.clip, clip_sources(networks.clip), file, dtype)
        _fill(vae, autoencoder_sources(vae, config), file, torch.float32)
        copy = autoencoder_sources(vae, config, VIEW_ENCODER)
        if _same(vae, copy, file):
            return networks
        with torch.device("meta"):
            other = autoencoder.build_autoencoder(config.autoencoder)
        _fill(other, copy, file, torch.float32)
    return Networks(networks.unet, vae, other, networks.clip)


def _fill(network: nn.Module, sources: Sources, file: Any, dtype: torch.dtype) -> None:
    # copy=True: a tensor in a mapped file may be unaligned, and the file may change under it
    state = {
        key: source.convert(file.get_tensor(source.key)).to(dtype, copy=True).contiguous()
        for key, source in sources.items()
    }
    network.load_state_dict(state, assign=True)
    for module in network.modules():  # transformers keeps 0, 1, 2, … in a buffer that no file holds
        if "position_ids" in module._buffers:
            count = module.get_buffer("position_ids").shape[-1]
            module.register_buffer("position_ids", torch.arange(count)[None], persistent=False)
    network.requires_grad_(False).eval()


def _same(network: nn.Module, sources: Mapping[str, Source], file: Any) -> bool:
    """Whether what the sources name in the file is what the network holds."""

    def equal() -> Iterator[bool]:
        for key, value in network.state_dict().items():
            yield torch.equal(sources[key].convert(file.get_tensor(sources[key].key)).to(value), value)

    return all(equal())
