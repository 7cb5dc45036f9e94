"""The published networks in miniature, with weights that are the same on every machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from ar4d.experts.imagedream.config import UNetConfig
from ar4d.experts.imagedream.unet import MultiViewUNet
from ar4d.experts.lgm.config import LgmConfig
from ar4d.experts.lgm.model import LgmNetwork

LGM_TOY = LgmConfig(
    input_size=32,
    down_channels=(32, 64),
    down_attention=(False, True),
    up_channels=(64, 32),
    up_attention=(True, False),
)
UNET_TOY = UNetConfig(
    image_size=8,
    model_channels=32,
    attention_resolutions=(1,),
    num_res_blocks=1,
    channel_mult=(1, 2),
    num_head_channels=16,
    context_dim=32,
    ip_dim=2,
    image_features=32,
)


def hashed(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers in [-1, 1) that depend on the name alone (splitmix64); float64."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    counters = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + counters * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return torch.from_numpy((z >> np.uint64(11)).astype(np.float64) / 2**52 - 1).reshape(shape)


def hashed_weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """Float16 weights of a size that lets signals through: ±√(3 / fan-in); norms near 1."""
    weights = {}
    for key, value in network.state_dict().items():
        numbers = hashed(key, tuple(value.shape))
        if value.ndim > 1:
            numbers = numbers * (3 / value[0].numel()) ** 0.5
        elif "norm" in key and key.endswith("weight"):
            numbers = 1 + 0.2 * numbers
        else:
            numbers = 0.2 * numbers
        weights[key] = numbers.half().contiguous()
    return weights


def toy_lgm(dtype: torch.dtype = torch.float32) -> LgmNetwork:
    network = LgmNetwork(LGM_TOY).to(dtype)
    network.load_state_dict({k: v.to(dtype) for k, v in hashed_weights(network).items()})
    return network.eval().requires_grad_(False)


def toy_unet(config: UNetConfig = UNET_TOY, dtype: torch.dtype = torch.float32) -> MultiViewUNet:
    network = MultiViewUNet(config).to(dtype)
    network.load_state_dict({k: v.to(dtype) for k, v in hashed_weights(network).items()})
    return network.eval().requires_grad_(False)


def save_lgm(folder: Path) -> Path:
    """A checkpoint as published: float16, safetensors, one file."""
    path = folder / "model_fp16_fixrot.safetensors"
    save_file(hashed_weights(LgmNetwork(LGM_TOY)), path)
    return path


def save_multi_view_release(folder: Path, config: UNetConfig = UNET_TOY) -> None:
    """A release as published: a folder per network, float16, keys as transformers 4 wrote them."""
    from diffusers import AutoencoderKL, DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

    _save(folder / "unet", "diffusion_pytorch_model", MultiViewUNet(config), dict(vars(config)))
    vae: Any = AutoencoderKL.from_config(
        {
            "down_block_types": ["DownEncoderBlock2D"] * 2,
            "up_block_types": ["UpDecoderBlock2D"] * 2,
            "block_out_channels": [32, 32],
            "latent_channels": 4,
        }
    )
    _save(folder / "vae", "diffusion_pytorch_model", vae, dict(vae.config))
    tower: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    words = {"vocab_size": 9, "max_position_embeddings": 11, "bos_token_id": 6, "eos_token_id": 7}
    text = CLIPTextConfig.from_dict({**tower, **words, "num_hidden_layers": 2, "hidden_act": "gelu"})
    _save(folder / "text_encoder", "model", CLIPTextModel(text), text.to_dict(), "text_model.")
    if config.ip_dim:
        vision = CLIPVisionConfig.from_dict(
            {**tower, "num_hidden_layers": 3, "image_size": 28, "patch_size": 14}
        )
        _save(folder / "image_encoder", "model", CLIPVisionModel(vision), vision.to_dict(), "vision_model.")
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    (folder / "scheduler").mkdir(parents=True)
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(dict(scheduler.config)))
    _save_tokenizer(folder / "tokenizer")


def _save(folder: Path, stem: str, network: nn.Module, entries: dict[str, Any], prefix: str = "") -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(entries))
    weights = {prefix + key: value for key, value in hashed_weights(network).items()}
    if prefix:
        weights[f"{prefix}embeddings.position_ids"] = torch.arange(11)[None]
    save_file(weights, folder / f"{stem}.safetensors", metadata={"format": "pt"})


def _save_tokenizer(folder: Path) -> None:
    """Byte pairs of the letters a and b; "!" is number 0 as in the published vocabulary."""
    tokens = ["!", "a", "b", "a</w>", "b</w>", "ab</w>", "<|startoftext|>", "<|endoftext|>", "!</w>"]
    entries = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 11,
        "tokenizer_class": "CLIPTokenizer",
    }
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(entries))


def key_digest(network: nn.Module) -> str:
    """SHA-256 of a network's keys and shapes, in order."""
    lines = [f"{key} {'x'.join(map(str, value.shape))}" for key, value in network.state_dict().items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_size(network: nn.Module, dtype: str, metadata: str = "") -> int:
    """Bytes of the safetensors file that holds the network's weights, and nothing else, as `dtype`."""
    width = {"F16": 2, "F32": 4}[dtype]
    entries, offset = [metadata] if metadata else [], 0
    for key, value in sorted(network.state_dict().items()):
        end = offset + width * value.numel()
        shape = ",".join(map(str, value.shape))
        entries.append(f'"{key}":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{offset},{end}]}}')
        offset = end
    header = len(",".join(entries)) + 2
    return 8 + -(-header // 8) * 8 + offset
