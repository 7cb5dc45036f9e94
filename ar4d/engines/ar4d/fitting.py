"""What the stages' fits share: falling learning rates, seeded randomness, cached views."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ar4d.cameras import Cameras, orbit
from ar4d.gaussians import Gaussians
from ar4d.rendering import Rendering, render

REPORT_EVERY = 10  # steps between two reports of progress


def random_stream(seed: int, *place: int) -> np.random.Generator:
    """Random numbers that belong to one place of a run (stage, frame): resuming there repeats them."""
    return np.random.default_rng([seed, *place])


def seed_networks(seed: int, *place: int) -> None:
    """Seeds torch's own randomness, which initialises networks, for one place of a run."""
    torch.manual_seed(int(np.random.default_rng([seed, *place, 1]).integers(2**31)))


class FallingAdam:
    """Adam whose learning rates fall exponentially, each from its start to its own share at the end."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.groups: list[dict] = []
        self.held: list[tuple[Tensor, Tensor]] = []

    def add(
        self, parameters: Iterable[Tensor], lr: float, final_share: float, freedom: Tensor | None = None
    ) -> None:
        """Adds parameters that learn at `lr` at first and at `lr * final_share` at the end.

        Args:
            freedom: [N] in [0, 1], by which the steps of each row of the parameters [N, ...] are
                shortened. (Adam undoes a factor on the gradient.)
        """
        held = list(parameters)
        self.groups.append({"params": held, "lr": lr, "start": lr, "share": final_share})
        if freedom is not None:
            self.held += [(tensor, freedom.reshape(-1, *[1] * (tensor.dim() - 1))) for tensor in held]

    def start(self) -> FallingAdam:
        self.adam = torch.optim.Adam(self.groups, eps=1e-15, fused=True)
        return self

    def step(self, loss: Tensor, u: int) -> None:
        """Takes step `u` of `steps` (0-based) down the gradient of `loss`."""
        for group in self.adam.param_groups:
            group["lr"] = group["start"] * group["share"] ** (u / self.steps)
        self.adam.zero_grad()
        loss.backward()
        before = [tensor.detach().clone() for tensor, _ in self.held]
        self.adam.step()
        with torch.no_grad():
            for (tensor, freedom), old in zip(self.held, before, strict=True):
                tensor.copy_(torch.lerp(old, tensor, freedom))


class ViewCache:
    """Views of Gaussians that do not change, rendered once per whole degree of azimuth."""

    def __init__(
        self, gaussians: Gaussians, elevation_deg: float, size: int, covered_only: bool = False
    ) -> None:
        """
        Args:
            size: width and height of the views in pixels.
            covered_only: the views say something only where they show something.
        """
        self.gaussians, self.elevation_deg, self.size = gaussians, elevation_deg, size
        self.covered_only = covered_only
        self.views: dict[int, Rendering] = {}

    def camera(self, azimuth_deg: int) -> Cameras:
        """The camera that `at` looks through."""
        return orbit(float(azimuth_deg), self.elevation_deg, size=self.size)

    @torch.no_grad()
    def at(self, azimuth_deg: int) -> Rendering:
        if azimuth_deg not in self.views:
            self.views[azimuth_deg] = render(self.gaussians, self.camera(azimuth_deg))
        return self.views[azimuth_deg]
