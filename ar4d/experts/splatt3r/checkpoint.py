"""The published Lightning checkpoint, read without running anything that is in it.

It is a pickle beside tensors: `torch.load(weights_only=True)` builds nothing but what it is allowed to.
The training settings in it are objects of OmegaConf, for which empty stand-ins are enough.
"""

from __future__ import annotations

import collections
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.splatt3r.network import Splatt3rNetwork
from ar4d.weights.loading import differences, shapes_of

PREFIX = "encoder."
UNUSED = re.compile(
    r"lpips_criterion\..+"
    r"|encoder\.mask_token"
    r"|encoder\.downstream_head[12]\.head_local_features\..+"
    r"|encoder\.downstream_head[12]\.(gaussian_dpt\.)?dpt\.scratch\.(layer_rn\.\d\.weight|refinenet4\.resConfUnit1\..+)"
)
"""Keys that mean nothing here: the training loss, descriptors, units that never run, second names."""
SETTINGS = (
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.nodes.AnyNode",
    "typing.Any",
)
PLAIN: dict[str, type] = {
    "collections.defaultdict": collections.defaultdict,
    "builtins.dict": dict,
    "builtins.list": list,
    "builtins.int": int,
}


def load_checkpoint(network: Splatt3rNetwork, path: Path, device: torch.device | str) -> None:
    """Fills a network that was built on the meta device, and freezes it.

    Raises:
        UserError: the file cannot be read, is no such checkpoint, or does not fit; names the first keys.
    """
    weights = read_weights(path)
    used = {key: value for key, value in weights.items() if not UNUSED.fullmatch(key)}
    expected = {PREFIX + key: shape for key, shape in shapes_of(network).items()}
    complaints = differences({key: tuple(value.shape) for key, value in used.items()}, expected)
    if complaints:
        raise UserError(
            f"{path} does not fit {type(network).__name__}: {'; '.join(complaints)}; "
            "take the published file, or fetch it again."
        )
    # copy=True: the tensors lie in a mapped file, which may change under them
    state = {
        key.removeprefix(PREFIX): value.to(device, torch.float32, copy=True) for key, value in used.items()
    }
    network.load_state_dict(state, assign=True)
    network.requires_grad_(False).eval()


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """{key: tensor} of a checkpoint's `state_dict`; the tensors are read from the file when they are used.

    Raises:
        UserError: there is no such file, it is cut short, or it holds something else.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}; fetch the weights again.")
    damaged = f"{path} ({path.stat().st_size:,} bytes) is cut short or damaged; delete it and fetch it again."
    if not zipfile.is_zipfile(path):
        raise UserError(damaged)
    stand_ins = {name: _stand_in(name) for name in SETTINGS}
    allowed: list[Any] = [(kind, name) for name, kind in {**stand_ins, **PLAIN}.items()]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than weights and training settings ({_refused(error)}) and was not loaded; "
            "take the published file."
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise UserError(damaged) from error
    weights = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(f"{path} is no Lightning checkpoint: it has no state_dict; take the published file.")
    return weights


def _stand_in(name: str) -> type:
    """An empty class for a settings object: it takes any arguments and any state, and keeps neither."""

    def new(cls: type, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    body = {"__new__": new, "__setstate__": lambda self, state: None}
    return type(name.rpartition(".")[2], (), body)


def _refused(error: pickle.UnpicklingError) -> str:
    """The name that the unpickler did not allow, out of its page of advice."""
    match = re.search(r"GLOBAL ([\w.]+)", str(error))
    return match[1] if match else "an unknown instruction"
