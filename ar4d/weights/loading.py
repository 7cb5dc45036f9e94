"""Weights into networks: safetensors only (no code comes with them), and nothing but what fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from ar4d.errors import UserError

Shapes = Mapping[str, Sequence[int]]


def load_weights(
    network: nn.Module,
    path: Path,
    *,
    device: torch.device | str,
    dtype: torch.dtype | None = None,
    prefix: str = "",
    ignored: str | None = None,
) -> None:
    """Fills a network that was built on the meta device, and freezes it.

    Args:
        network: the file must hold every entry of its state dict, and nothing else.
        dtype: to convert to; None keeps the file's.
        prefix: what keys in the file may begin with and the network's do not.
        ignored: keys with this ending may be in the file and mean nothing.

    Raises:
        UserError: the file cannot be read or does not fit; names the first keys and shapes.
    """
    shapes = read_shapes(path)
    keys = {
        key.removeprefix(prefix): key for key in shapes if ignored is None or not key.endswith(ignored)
    }  # the network's: the file's
    complaints = differences({name: shapes[key] for name, key in keys.items()}, shapes_of(network))
    if complaints:
        raise UserError(
            f"{path} does not fit {type(network).__name__}: {'; '.join(complaints)}; "
            "take the published file, or fetch it again."
        )
    with safe_open(path, framework="pt") as file:
        # copy=True: a tensor in a mapped file may be unaligned, and the file may change under it
        state = {name: file.get_tensor(key).to(device, dtype, copy=True) for name, key in keys.items()}
    network.load_state_dict(state, assign=True)
    network.requires_grad_(False).eval()


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """{key: shape} of a safetensors file, from its header.

    Raises:
        UserError: there is no such file, or it is cut short or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}; fetch the weights again.") from error
    except (SafetensorError, OSError) as error:
        size = path.stat().st_size
        raise UserError(
            f"{path} ({size:,} bytes) is cut short or damaged ({error}); delete it and fetch it again."
        ) from error


def check_fit(network: nn.Module, paths: Sequence[Path]) -> None:
    """Compares the headers of a checkpoint's files with a network that may be on the meta device.

    Raises:
        UserError: a file cannot be read, or the checkpoint does not fit; names the first keys and shapes.
    """
    shapes = {key: shape for path in paths for key, shape in read_shapes(path).items()}
    complaints = differences(shapes, shapes_of(network))
    if complaints:
        where = paths[0] if len(paths) == 1 else f"{paths[0].parent} ({len(paths)} files)"
        raise UserError(
            f"{where} does not fit {type(network).__name__}: {'; '.join(complaints)}; "
            "take the published files, or fetch them again."
        )


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """{key: shape} of a network's state dict, on whatever device."""
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def differences(found: Shapes, expected: Shapes) -> list[str]:
    """What keeps `found` from being `expected`, the first case of each kind; empty if nothing does."""
    missing = [key for key in expected if key not in found]
    unknown = [key for key in found if key not in expected]
    reshaped = [key for key in expected if key in found and tuple(found[key]) != tuple(expected[key])]
    complaints = []
    if missing:
        complaints.append(f"it lacks {missing[0]} {list(expected[missing[0]])}{and_others(missing)}")
    if unknown:
        complaints.append(f"it has the unknown {unknown[0]} {list(found[unknown[0]])}{and_others(unknown)}")
    if reshaped:
        key = reshaped[0]
        shapes = f"{list(found[key])} instead of {list(expected[key])}"
        complaints.append(f"the shape of {key} is {shapes}{and_others(reshaped)}")
    return complaints


def and_others(keys: Sequence[object]) -> str:
    """How many more keys there are than the first, as the end of a sentence."""
    return f" and {len(keys) - 1} more" if len(keys) > 1 else ""


def first_line(error: Exception) -> str:
    """The first line of an error's message, without a full stop."""
    return str(error).strip().splitlines()[0].rstrip(".")
