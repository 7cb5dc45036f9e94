"""The networks of a Wan release, one at a time: each is large, and no two have to be there at once.

They are diffusers' and transformers' own classes. Files are compared with the network that the release's
configuration describes, so that a wrong one is refused by key and shape and nothing is left at random.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ar4d.errors import UserError
from ar4d.weights.loading import check_fit
from ar4d.weights.release import weight_files
from ar4d.weights.transformers import load_pretrained

TEXT_ENCODER, TRANSFORMER, VAE = (
    "text_encoder/model",
    "transformer/diffusion_pytorch_model",
    "vae/diffusion_pytorch_model",
)


def load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'tokenizer'} holds no tokenizer ({error}); fetch it again.") from error


def load_text_encoder(folder: Path, dtype: torch.dtype) -> Any:
    """The prompt's encoder, on the CPU.

    Raises:
        UserError: its files cannot be read or do not fit.
    """
    from transformers import UMT5EncoderModel

    return load_pretrained(UMT5EncoderModel, folder / "text_encoder", _files(folder, TEXT_ENCODER), dtype)


def load_transformer(folder: Path, dtype: torch.dtype) -> Any:
    """The denoiser, on the CPU; see `load_text_encoder`."""
    from diffusers import WanTransformer3DModel

    return _load_diffusers(folder, WanTransformer3DModel, TRANSFORMER, dtype)


def load_vae(folder: Path) -> Any:
    """The autoencoder of clips, on the CPU, in float32 as its authors run it; see `load_text_encoder`."""
    from diffusers import AutoencoderKLWan

    return _load_diffusers(folder, AutoencoderKLWan, VAE, torch.float32)


def load_scheduler(folder: Path) -> Any:
    """The published scheduler with its published settings."""
    import diffusers

    index = _index(folder)
    name = index["scheduler"][1]
    if not hasattr(diffusers, name):
        raise UserError(
            f"{folder} asks for the scheduler {name}, which diffusers {diffusers.__version__} lacks; fetch "
            "the release again."
        )
    entries = _described(folder / "scheduler/scheduler_config.json", _entries)
    return getattr(diffusers, name).from_config(entries)


def expands_timesteps(folder: Path) -> bool:
    """Whether each token has a timestep of its own: the networks that keep a given first frame."""
    return bool(_index(folder).get("expand_timesteps"))


def _load_diffusers(folder: Path, kind: Any, stem: str, dtype: torch.dtype) -> Any:
    from diffusers.utils.logging import disable_progress_bar

    disable_progress_bar()
    part = Path(stem).parent
    entries = _described(folder / part / "config.json", _entries)
    with torch.device("meta"):
        network = kind.from_config(entries)
    check_fit(network, _files(folder, stem))
    return _frozen(kind.from_pretrained(folder / part, torch_dtype=dtype, local_files_only=True))


def _files(folder: Path, stem: str) -> list[Path]:
    return [folder / name for name in weight_files(folder, stem)]


def _frozen(network: nn.Module) -> nn.Module:
    return network.requires_grad_(False).eval()


def _index(folder: Path) -> dict[str, Any]:
    return _described(folder / "model_index.json", _entries)


def _entries(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _described(path: Path, read: Any) -> Any:
    try:
        return read(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); fetch it again.") from error
