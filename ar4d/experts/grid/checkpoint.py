"""The weights file: a safetensors file that says how large its network is and how it is sampled."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ar4d.errors import UserError
from ar4d.experts.grid.config import GridConfig
from ar4d.experts.grid.network import GridNetwork
from ar4d.files import atomic
from ar4d.records import adapter

VARIABLE = "AR4D_GRID"
BUNDLED = Path(__file__).parent / "weights" / "grid.safetensors"
MAKE = "make it with `python -m train.grid.train_grid` and `python -m train.grid.export`"


@dataclass(frozen=True)
class Sampling:
    """How a network is used best, as measured when it was exported."""

    steps: int = 12
    """Euler steps; 1: the mean of all answers."""
    temperature: float = 1.0
    """Standard deviation of the noise that it begins with. Below 1, answers are nearer to their mean:
    smoother, steadier over time, and closer to the truth in outline."""
    decided: bool = False
    """Make alpha steep afterwards: a mean is foggy."""


def find_weights() -> Path | None:
    """The file that the environment names, or the one that comes with the program; None: neither."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    return BUNDLED if BUNDLED.exists() else None


def save(network: GridNetwork, sampling: Sampling, path: Path) -> None:
    """Write a network's weights in half precision."""
    state = network.state_dict()
    weights = {name: tensor.detach().half().cpu().contiguous() for name, tensor in state.items()}
    metadata = {"config": json.dumps(asdict(network.config)), "sampling": json.dumps(asdict(sampling))}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        save_file(weights, temporary, metadata)


def load(path: Path) -> tuple[GridNetwork, Sampling]:
    """Read what `save` wrote.

    Raises:
        UserError: the file is missing, damaged or another network's.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path} is no readable file of the grid network's weights ({error}); {MAKE}."
        ) from error
    try:
        config = adapter(GridConfig).validate_json(metadata["config"])
        sampling = adapter(Sampling).validate_json(metadata["sampling"])
        network = GridNetwork(config)
        network.load_state_dict(weights)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} does not fit the grid network ({reason}); {MAKE}.") from error
    return network.eval().requires_grad_(False), sampling
