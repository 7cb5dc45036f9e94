"""Depth Anything in miniature: transformers' own class at random, saved in the published layout."""

from __future__ import annotations

from pathlib import Path

import torch


def save_depth(folder: Path, kind: str = "metric") -> Path:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    torch.manual_seed(0)
    backbone = {
        "model_type": "dinov2",
        "image_size": 28,
        "patch_size": 14,
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "out_indices": [1, 2, 3, 4],
        "reshape_hidden_states": False,
        "apply_layernorm": True,
    }
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        head_hidden_size=8,
        depth_estimation_type=kind,
        max_depth=20,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return folder
