"""Wan in miniature: diffusers' and transformers' own classes at random, saved in the published layout."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ar4d.experts.wan.config import WAN_2_1_SMALL, WAN_2_2, WanConfig

GIB = 0.01  # at most: the published size would ask for a large disk

TOY = replace(
    WAN_2_2,
    name="Toy Wan",
    release=replace(WAN_2_2.release, gib=GIB),
    width=64,
    height=32,
    num_frames=5,
    steps=2,
    text_tokens=16,
    guidance=4.0,
)
TOY_WITHOUT_PICTURES = replace(
    TOY, name="Toy Wan 2.1", release=replace(WAN_2_1_SMALL.release, gib=GIB), animates=False
)


def save_wan(folder: Path, config: WanConfig = TOY) -> Path:
    """A release as published, with weights in parts."""
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    channels = 48 if config.animates else 16
    kind: dict[str, Any] = {"base_dim": 4, "z_dim": channels, "num_res_blocks": 1, "dim_mult": [1, 1, 1, 1]}
    kind |= {"temperal_downsample": [False, True, True]}
    if config.animates:
        kind |= {"is_residual": True, "patch_size": 2, "in_channels": 12, "out_channels": 12}
        kind |= {"scale_factor_spatial": 16, "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48}
    transformer = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=channels,
        out_channels=channels,
        text_dim=32,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=32,
    )
    encoder = UMT5EncoderModel(
        UMT5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    )
    transformer.save_pretrained(folder / "transformer", max_shard_size="20KB")
    AutoencoderKLWan(**kind).save_pretrained(folder / "vae")
    encoder.save_pretrained(folder / "text_encoder", max_shard_size="10KB")
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    )
    scheduler.save_pretrained(folder / "scheduler")
    _save_tokenizer(folder / "tokenizer")
    index = {
        "_class_name": "WanPipeline",
        "expand_timesteps": config.animates,
        "scheduler": ["diffusers", "UniPCMultistepScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLWan"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _save_tokenizer(folder: Path) -> None:
    """Word pieces by a unigram model; number 0 pads, 1 ends, as in T5's vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((c, -3.0) for c in letters)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()  # pyright: ignore[reportAttributeAccessIssue]
    end = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.post_processor = end  # pyright: ignore[reportAttributeAccessIssue]
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    (folder / "special_tokens_map.json").write_text("{}")
    (folder / "spiece.model").touch()  # published beside tokenizer.json, which says the same
