"""Splatt3R as an expert: `SceneToGaussians`, the paper's for scenes (Smart et al., arXiv 2408.13912).

The network takes two views. It is shown one picture twice: what it gives is then the surface that the
picture shows, twice over, and a little of what it believes beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS
from ar4d.errors import UserError
from ar4d.experts.depth.surface import camera_to_world
from ar4d.experts.hardware import missing_gpu, missing_memory
from ar4d.experts.protocols import Unavailable
from ar4d.experts.splatt3r.activations import activate
from ar4d.experts.splatt3r.checkpoint import load_checkpoint
from ar4d.experts.splatt3r.config import CHECKPOINT, PUBLISHED, SIDE, WEIGHTS, Splatt3rConfig
from ar4d.experts.splatt3r.focal import weiszfeld_focal
from ar4d.experts.splatt3r.lifting import camera_change, in_reference_camera, scaled
from ar4d.experts.splatt3r.merging import merged
from ar4d.experts.splatt3r.network import RawMaps, Splatt3rNetwork
from ar4d.experts.splatt3r.picture import SEEN, Box, shown_picture
from ar4d.gaussians import Gaussians
from ar4d.weights.hub import fetch, why_unavailable
from ar4d.weights.release import Release

FOCALS = (0.3, 4.0)
"""Plausible focal lengths, in longer sides of the picture."""
GPU_GIB = 3.5
"""2.7 GiB (`python -m ar4d experts --memory`), the CUDA context and workspaces; with room."""
CPU_GIB = 4.0
"""The same on a CPU, where a pass was measured to take 3.3 GiB in all."""
NO_SENSE = (
    "Splatt3R gave {what}: its weights are damaged, or it makes nothing of this picture; fetch them again, "
    "or take depth-indoor."
)

Network = Callable[[Tensor], tuple[RawMaps, RawMaps]]
"""[1, 3, H, W] in [0, 1] to the maps of both views."""


@dataclass(frozen=True, eq=False)
class Look:
    """What the network made of one picture, in the reference camera and the network's unit."""

    rgba: Tensor
    budget: int
    gaussians: Gaussians
    depth: Tensor  # [S, S] of the first view's points, 0 where none is seen

    def is_of(self, rgba: Tensor, budget: int) -> bool:
        return self.budget == budget and torch.equal(self.rgba, rgba)


class Splatt3r:
    """A picture of a scene becomes Gaussians, in one pass per picture."""

    name = "Splatt3R"

    def __init__(self, network: Network, device: torch.device | str, side: int = SIDE):
        """
        Args:
            network: with its weights, on `device`.
            side: of the pictures that it is shown, pixels.
        """
        self.network, self.device, self.side = network, device, side
        self._last: Look | None = None

    @classmethod
    def available(cls, device: torch.device | str, folder: Path | None = None) -> Unavailable | None:
        """Why it cannot run, or None if it can: on a CPU as well, in half a minute a frame.

        Args:
            device: where it would run.
            folder: where the user keeps the weights; None: the model hub and its cache.
        """
        on_gpu = torch.device(device).type == "cuda"
        refusal = missing_gpu(cls.name, device, GPU_GIB) if on_gpu else missing_memory(cls.name, CPU_GIB)
        if refusal is not None:
            return refusal
        reason = why_unavailable(WEIGHTS, folder)
        return None if reason is None else Unavailable(reason)

    @classmethod
    def load(
        cls,
        device: torch.device | str,
        folder: Path | None = None,
        *,
        config: Splatt3rConfig = PUBLISHED,
        weights: Release = WEIGHTS,
    ) -> Splatt3r:
        """Loads the published weights, in float32 as their authors run them.

        Args:
            folder: where the user keeps the weights; None: the model hub and its cache.
            config: the size that `weights` were made for.

        Raises:
            UserError: the weights are unavailable or do not fit.
        """
        path = fetch(weights, folder) / CHECKPOINT
        with torch.device("meta"):
            network = Splatt3rNetwork(config)
        load_checkpoint(network, path, device)
        return cls(network, device)

    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """As `ImageToGaussians.lift`: the middle depth comes to lie at the orbit's centre."""
        look = self._look(rgba, budget)
        scale = RADIUS / float(look.depth[look.depth > 0].median())
        return camera_to_world(scaled(look.gaussians, scale), elevation_deg).to(rgba.device)

    def relift(self, rgba: Tensor, known: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """As `SceneToGaussians.relift`."""
        look = self._look(rgba, budget)
        both = (look.depth > 0) & (known > 0)
        if not both.any():
            raise UserError("The frame shows nothing of the scene that is known; choose another part of it.")
        # Most of a scene stands still: the median tells the network's scale, whatever moves.
        scale = float((known[both] / look.depth[both]).median())
        return camera_to_world(scaled(look.gaussians, scale), elevation_deg).to(rgba.device)

    @torch.no_grad()
    def _look(self, rgba: Tensor, budget: int) -> Look:
        """Runs the network, or returns what it made of the same picture: a frame is lifted many times."""
        if self._last is not None and self._last.is_of(rgba, budget):
            return self._last
        box = Box.around(rgba[..., 3] > SEEN)
        picture = shown_picture(rgba, box, self.side)[None].to(self.device)
        first, second = (activate(raw, picture) for raw in self.network(picture))
        focal = _focal(first.points[0])
        shown = (picture.shape[2], picture.shape[3])
        alpha = box.cut(rgba)[..., 3]
        change = camera_change(focal, box, shown, rgba.shape[0])
        splats = in_reference_camera(first.join(second), focal, change, _resize_nearest(alpha, shown) > SEEN)
        depth = torch.zeros(rgba.shape[:2], device=rgba.device)
        z = _resize_nearest(first.points[0, ..., 2], (box.height, box.width)).float().to(rgba.device)
        box.cut(depth).copy_(torch.where((alpha > SEEN) & torch.isfinite(z) & (z > 0), z, 0))
        if not (splats.opacities > 0).any() or not (depth > 0).any():
            raise UserError(NO_SENSE.format(what="nothing that lies before the camera"))
        self._last = Look(rgba.clone(), budget, merged(splats, budget), depth)
        return self._last


def _focal(points: Tensor) -> float:
    """The focal length of a map of points [H, W, 3].

    Raises:
        UserError: no plausible one explains them.
    """
    focal, longer = weiszfeld_focal(points), max(points.shape[:2])
    if not FOCALS[0] * longer <= focal <= FOCALS[1] * longer:  # also where it is not a number
        what = f"points of no camera, focal length {focal:.0f} for {longer} pixels"
        raise UserError(NO_SENSE.format(what=what))
    return focal


def _resize_nearest(values: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(values[None, None], size, mode="nearest-exact")[0, 0]
