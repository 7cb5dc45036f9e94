"""The weights file of the networks: both networks' tensors and their sizes, in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ar4d.errors import UserError
from ar4d.experts.star.codec import Codec
from ar4d.experts.star.config import CodecConfig, StarConfig
from ar4d.experts.star.transformer import Star
from ar4d.files import atomic
from ar4d.records import adapter

BUNDLED = Path(__file__).parent / "weights" / "star.safetensors"
"""The project's own weights, from a short training (docs/research/star.md)."""

Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class Networks:
    """Both networks, ready to predict."""

    codec: Codec
    star: Star

    def to(self, device: torch.device) -> Networks:
        return Networks(self.codec.to(device), self.star.to(device))


def found_weights(path: Path | None) -> Path:
    """The weights file to use: the one asked for, or the project's own.

    Raises:
        UserError: it does not exist.
    """
    if path is not None:
        if path.is_file():
            return path
        raise UserError(f"There is no weights file {path}; give the file that train.star.export wrote.")
    if BUNDLED.is_file():
        return BUNDLED
    raise UserError(
        f"The engine star needs its weights, {BUNDLED}: start the program from a whole copy of its "
        "repository, or name others with --weights FILE."
    )


def save_networks(path: Path, networks: Networks) -> None:
    """Writes both networks in half precision; `load_networks` reads them."""
    tensors = {f"codec.{name}": x for name, x in networks.codec.state_dict().items()}
    tensors |= {f"star.{name}": x for name, x in networks.star.state_dict().items()}
    sizes = {"codec": asdict(networks.codec.config), "star": asdict(networks.star.config)}
    halves = {name: x.detach().cpu().half().contiguous() for name, x in tensors.items()}
    with atomic(path) as temporary:
        save_file(halves, temporary, metadata={"star": json.dumps(sizes)})


def load_networks(path: Path, device: torch.device | str = "cpu") -> Networks:
    """Reads what `save_networks` wrote.

    Raises:
        UserError: the file is missing, cut short, or holds something else.
    """
    try:
        with safe_open(path, "pt") as file:
            sizes = json.loads((file.metadata() or {})["star"])
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        codec = adapter(CodecConfig).validate_python(sizes["codec"])
        star = adapter(StarConfig).validate_python(sizes["star"])
        networks = Networks(
            _filled(Codec(codec), tensors, "codec."), _filled(Star(codec, star), tensors, "star.")
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} does not hold the weights of the engine star ({reason}); write it again with "
            "train.star.export, or give another file."
        ) from error
    return networks.to(torch.device(device))


def _filled(network: Net, tensors: dict[str, Tensor], prefix: str) -> Net:
    own = {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
    for name, tensor in own.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{prefix}{name} is not finite")
    network.load_state_dict(own)
    return network.eval().requires_grad_(False)
