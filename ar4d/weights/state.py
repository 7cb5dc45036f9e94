"""Weights files that a user names: safetensors, or what `torch.save` wrote, read without running code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ar4d.errors import UserError
from ar4d.weights.loading import differences, shapes_of


def read_state(path: Path, what: str, remedy: str) -> dict[str, Tensor]:
    """The tensors of a weights file by name.

    A training checkpoint's `state_dict` is unwrapped, and the prefix `module.` that parallel training adds
    is dropped.

    Args:
        what: whose weights they should be, as "LPIPS"; part of the error message.
        remedy: how to get the right file; the end of the error message.

    Raises:
        UserError: the file is missing, cannot be read or holds no tensors.
    """
    if not path.is_file():
        raise UserError(f"There is no {what} weights file at {path}; correct the path, or {remedy}.")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} cannot be read as {what} weights; {remedy}.") from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} is not a file of {what} weights; {remedy}.")
    return {str(name).removeprefix("module."): value for name, value in state.items()}


def fill(network: nn.Module, path: Path, what: str, remedy: str, *, partly: bool = False) -> None:
    """Fills a network from a weights file, and freezes it.

    Counters of batch normalisation (`num_batches_tracked`) mean nothing here and may be missing.

    Args:
        partly: the file may hold other networks as well, as CLIP's holds the one that reads text.

    Raises:
        UserError: the file cannot be read or does not fit; names the first keys and shapes.
    """
    state = read_state(path, what, remedy)
    state = {name: value.float() for name, value in state.items() if not _is_counter(name)}
    expected = {name: shape for name, shape in shapes_of(network).items() if not _is_counter(name)}
    if partly:
        state = {name: value for name, value in state.items() if name in expected}
    complaints = differences({name: tuple(value.shape) for name, value in state.items()}, expected)
    if complaints:
        raise UserError(f"{path} does not hold {what} weights: {'; '.join(complaints)}; {remedy}.")
    network.load_state_dict(state, strict=False)
    network.requires_grad_(False).eval()


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")
