"""CLIP-S: the cosine similarity of two pictures' CLIP embeddings.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021. The field
compares image with image by ViT-B/32 (`openai/clip-vit-base-patch32`), as Consistent4D's script does. The
weights are not part of this project; they are used from a folder that the user names, from below
`AR4D_WEIGHTS`, or from the hub's cache, and are not downloaded by an evaluation.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.errors import UserError
from ar4d.evaluation.availability import NotAvailable
from ar4d.weights.release import Release, locate
from ar4d.weights.state import fill

VARIABLE = "AR4D_CLIP"
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of the pixels that CLIP was trained on."""
RELEASES = tuple(
    Release(repo="openai/clip-vit-base-patch32", files=("config.json", file), gib=0.6, licence="MIT")
    for file in ("model.safetensors", "pytorch_model.bin")
)
ABSENT = (
    "CLIP-S was not measured, its weights are not here: fetch them with "
    f"`{RELEASES[1].fetch_command}`, or set {VARIABLE} to a folder that holds them."
)


def load(folder: Path | None) -> Callable[[Tensor, Tensor], Tensor] | NotAvailable:
    """The similarity of two batches of pictures [B, H, W, 3] in [0, 1] as a function that gives [B].

    Args:
        folder: holds `config.json` and the weights; None: `AR4D_CLIP`, or where the hub's files lie.

    Raises:
        UserError: the named folder lacks a file, or the weights do not fit.
    """
    own = folder or os.environ.get(VARIABLE)
    named = Path(own).expanduser() if own else None
    found = [(root, release) for release in RELEASES if (root := locate(release, named)) is not None]
    if not found:
        if named is not None:
            raise UserError(
                f"{named} lacks CLIP's config.json or weights; fetch them into it, or leave it out."
            )
        return NotAvailable(ABSENT)
    try:
        network = _network(found[0][0], found[0][1].files[1])
    except ImportError:
        return NotAvailable("CLIP-S was not measured, it needs transformers: `pip install 'ar4d[experts]'`.")

    def similarity(a: Tensor, b: Tensor) -> Tensor:
        return F.cosine_similarity(embed(network, a), embed(network, b), dim=-1)

    return similarity


@torch.no_grad()
def embed(network: Any, pictures: Tensor) -> Tensor:
    """CLIP's image embeddings [B, D] of pictures [B, H, W, 3] in [0, 1]."""
    size = network.config.image_size
    x = F.interpolate(
        pictures.movedim(-1, 1).float(), (size, size), mode="bicubic", antialias=True, align_corners=False
    )
    shift, scale = x.new_tensor(MEAN)[:, None, None], x.new_tensor(STD)[:, None, None]
    return network(pixel_values=(x.clamp(0, 1) - shift) / scale).image_embeds


def _network(folder: Path, file: str) -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    path = folder / "config.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        vision = entries.get("vision_config", entries)
        width = entries.get("projection_dim", vision.get("projection_dim", 512))
        config = CLIPVisionConfig(**{**vision, "projection_dim": width})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no configuration of CLIP ({error}); fetch it again.") from error
    network = CLIPVisionModelWithProjection(config)
    fill(network, folder / file, "CLIP", "fetch openai/clip-vit-base-patch32 again", partly=True)
    return network
