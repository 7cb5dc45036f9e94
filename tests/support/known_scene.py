"""A network in Splatt3R's place that knows the scene of `scenery`, and gives it as Splatt3R would."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ar4d.experts.splatt3r.network import RawMaps
from tests.support.scenery import scene


def knowing(
    frame: Callable[[], float] = lambda: 0,
    *,
    focal: float = 0.9,
    metres: float = 2.0,
    sigma: float = 1.0,
    opacity: float = 0.6,
) -> Callable[[Tensor], tuple[RawMaps, RawMaps]]:
    """Makes the network.

    Args:
        frame: of the scene that is shown.
        focal: of the network's own camera, in widths of the picture.
        metres: the network's unit per world unit.
        sigma: standard deviation of its round Gaussians, in pixels.
    """

    def network(picture: Tensor) -> tuple[RawMaps, RawMaps]:
        height, width = picture.shape[-2:]
        depth = torch.from_numpy(scene(frame(), width)[1]).float()[-height:] * metres
        rows, columns = torch.meshgrid(
            torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij"
        )
        length = focal * width
        points = torch.stack([columns / length * depth, rows / length * depth, depth])
        distance = points.norm(dim=0, keepdim=True)
        raw = torch.cat([points / distance * torch.log1p(distance), torch.zeros(1, height, width)])
        gaussians = torch.zeros(14, height, width)
        gaussians[3:6] = (sigma * depth / length).log()
        gaussians[9] = 1  # xyzw: no turn
        gaussians[13] = torch.tensor(opacity).logit()
        return RawMaps(raw[None], gaussians[None]), RawMaps(raw[None].clone(), gaussians[None].clone())

    return network
