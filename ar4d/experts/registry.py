"""Which experts this machine can run, in order of preference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from ar4d.errors import UserError
from ar4d.experts.imagedream import ImageDreamLGM
from ar4d.experts.lgm import LGM
from ar4d.experts.protocols import ImageToGaussians, Unavailable, ViewsToGaussians
from ar4d.experts.silhouette import Silhouette

Role = Literal["image_to_gaussians", "views_to_gaussians"]


@dataclass(frozen=True)
class Entry:
    """An expert as the registry knows it, before anything is loaded."""

    name: str
    roles: tuple[Role, ...]
    summary: str
    """One line: what it does, its size, its licence."""
    check: Callable[[torch.device], Unavailable | None]
    """Why it cannot run on a device, or None if it can."""
    build: Callable[[torch.device], ImageToGaussians | ViewsToGaussians]


@dataclass(frozen=True)
class Choice:
    """An expert that is ready to work, and why it was taken."""

    name: str
    expert: ImageToGaussians | ViewsToGaussians
    reason: str


ENTRIES = (
    Entry(
        name="imagedream-lgm",
        roles=("image_to_gaussians",),
        summary="the paper's: imagines four views, reconstructs them; GPU, 5 GB of weights, openrail + MIT",
        check=ImageDreamLGM.available,
        build=ImageDreamLGM.load,
    ),
    Entry(
        name="lgm",
        roles=("views_to_gaussians",),
        summary="the paper's: reconstructs four views; GPU, 0.8 GB of weights, MIT",
        check=LGM.available,
        build=LGM.load,
    ),
    Entry(
        name="silhouette",
        roles=("image_to_gaussians", "views_to_gaussians"),
        summary="inflates the outline into a closed body; no weights, knows nothing of the unseen side",
        check=lambda device: None,
        build=lambda device: Silhouette(),
    ),
)


def choose(role: Role, name: str, device: torch.device) -> Choice:
    """Builds the expert that `require` names."""
    entry, reason = require(role, name, device)
    return Choice(entry.name, entry.build(device), reason)


def require(role: Role, name: str, device: torch.device) -> tuple[Entry, str]:
    """The expert called `name`, or for "auto" the first of `ENTRIES` that can run, and why it is that one.

    Raises:
        UserError: there is no such expert for this role, or it cannot run on this machine.
    """
    candidates = [entry for entry in ENTRIES if role in entry.roles]
    if name != "auto":
        candidates = [entry for entry in candidates if entry.name == name]
        if not candidates:
            known = ", ".join(entry.name for entry in ENTRIES if role in entry.roles)
            raise UserError(f'There is no expert "{name}" for {role}; choose one of: auto, {known}.')
    refusals = []
    for entry in candidates:
        obstacle = entry.check(device)
        if obstacle is None:
            chosen = "asked for by name" if name != "auto" else "the best that runs here"
            return entry, "; ".join([chosen, *refusals])
        refusals.append(obstacle.reason)
    raise UserError(f'The expert "{name}" cannot run here. {" ".join(refusals)}')
