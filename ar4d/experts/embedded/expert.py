"""The expert in `weights/`: small networks of this project's own, for machines without a GPU."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.embedded.closeup import FINE
from ar4d.experts.embedded.facing import FacingNetwork, Finder, PlaneFinder
from ar4d.experts.embedded.geometry import VIEWS
from ar4d.experts.embedded.network import IN_SIZE, OUT_SIZE, Network, Prediction, encode
from ar4d.experts.embedded.prior import steadied
from ar4d.experts.embedded.surface import ViewMaps, gaussians_from_views, grid_size, resampled
from ar4d.experts.embedded.volume import views_of
from ar4d.experts.protocols import Unavailable
from ar4d.experts.surfels import to_world
from ar4d.gaussians import Gaussians

WEIGHTS = Path(__file__).parent / "weights" / "embedded.safetensors"
LICENCE = "CC BY-SA 3.0"
SHA256 = "c7c746303edb5c921335e5898386313430523eacc282cf653656fff19ce232d1"
PSEUDO_BUDGET = 8000
NO_PLANE = torch.zeros(1, 4), torch.ones(1)  # seen from above, upright planes lean
FIRST, ALL = (True, False, False, False), (True, True, True, True)


@dataclass(frozen=True)
class Embedded:
    """`ImageToGaussians` and `ViewsToGaussians` by the embedded network, on the CPU."""

    network: Network
    planes_of: Finder
    """The network sees the object once with each plane of symmetry that this finds."""
    looks: tuple[tuple[bool, ...], ...] = (FIRST, ALL)
    """The views that `reconstruct` looks at, each time; what the network tells of them is averaged. In stage
    2 the others are renders of guesses: what is right in them is worth keeping, and what is wrong is
    judged afresh with every frame."""
    name: str = "embedded"

    @staticmethod
    def available(device: torch.device) -> Unavailable | None:
        if WEIGHTS.exists():
            return None
        return Unavailable(
            f"the embedded expert needs its weights, {WEIGHTS}: "
            "start the program from a whole copy of its repository."
        )

    @staticmethod
    def load(device: torch.device) -> Embedded:
        network, facing = load_networks(WEIGHTS, SHA256)
        return Embedded(network, PlaneFinder(facing))

    def with_clip(self, clip: Tensor, facing_deg: float | None = None) -> Embedded:
        """As `ClipAware.with_clip`: which way an object faces is plainer from many frames than from one."""
        size = min(clip.shape[1], FINE * IN_SIZE)
        pictures = torch.stack([_sized(_premultiplied(frame.cpu().float()), size) for frame in clip])
        return replace(self, planes_of=self.planes_of.with_clip(pictures, facing_deg))

    @property
    def facing_estimate(self) -> tuple[float, float] | None:
        """As `ClipAware.facing_estimate`."""
        return self.planes_of.facing

    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        views = _missing_views(_premultiplied(rgba.cpu().float()))
        return self._gaussians(views, (FIRST,), budget, elevation_deg).to(rgba.device)

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        """From its looks at the four views.

        Off elevation 0 the four cameras lie on a cone, which the network has not learnt: the first view.
        """
        if elevation_deg != 0:
            return self.lift(rgba[0], PSEUDO_BUDGET, elevation_deg)
        views = torch.stack([_premultiplied(view) for view in rgba.cpu().float()])
        return self._gaussians(views, self.looks, PSEUDO_BUDGET, 0).to(rgba.device)

    @torch.no_grad()
    def _gaussians(
        self, views: Tensor, looks: tuple[tuple[bool, ...], ...], budget: int, elevation_deg: float
    ) -> Gaussians:
        """Of premultiplied views [4, 4, S, S]."""
        if not bool((views[0, 3] > 0.5).any()):
            raise UserError(
                "The picture shows no object: its cut-out is empty; correct the background removal."
            )
        pictures, small = _sized(views, IN_SIZE), _sized(views[:1], OUT_SIZE)[0]
        planes, chances = self.planes_of(views[0]) if elevation_deg == 0 else NO_PLANE
        given = torch.tensor(looks).repeat(len(planes), 1)
        shown = planes.repeat_interleave(len(looks), 0)
        told = self.network(encode(pictures.expand(len(shown), -1, -1, -1, -1), given, shown))
        mean = Prediction(*(part.unflatten(0, (len(planes), -1)).mean(1) for part in vars(told).values()))
        maps = views_of(steadied(mean, small[3]), small, planes, chances)
        size = grid_size(maps.alpha, budget)
        own = _sized(views[:1], size)[0]
        maps = _with_picture(resampled(maps, size), own)
        return to_world(gaussians_from_views(maps, planes[0], float(chances[0])), elevation_deg)


def load_networks(path: Path, sha256: str) -> tuple[Network, FacingNetwork]:
    """The networks with the weights in `path`.

    Raises:
        UserError: the file is missing or is not the one that belongs to this version of the program.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"The embedded expert's weights cannot be read ({error}); restore {path} from the repository."
        ) from error
    found = hashlib.sha256(contents).hexdigest()
    if found != sha256:
        raise UserError(
            f"{path} is not the embedded expert's file of weights that this version was made for "
            f"(SHA-256 {found[:12]}…, not {sha256[:12]}…); restore it from the repository."
        )
    network, facing = Network().eval().requires_grad_(False), FacingNetwork().eval().requires_grad_(False)
    try:
        weights = {name: weight.float() for name, weight in load(contents).items()}
        network.load_state_dict(part_of(weights, "network."))
        facing.load_state_dict(part_of(weights, "facing."))
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{path} does not fit the embedded expert ({error}).") from error
    return network, facing


def part_of(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): x for name, x in weights.items() if name.startswith(prefix)}


def _premultiplied(rgba: Tensor) -> Tensor:
    """[4, S, S] of straight alpha [S, S, 4]."""
    return torch.cat([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], -1).permute(2, 0, 1)


def _missing_views(view: Tensor) -> Tensor:
    """The first of four views, the others empty."""
    return torch.cat([view[None], torch.zeros(VIEWS - 1, *view.shape)])


def _sized(views: Tensor, size: int) -> Tensor:
    """Premultiplied views [..., S, S] at another size, averaged as light."""
    stack = views.reshape(-1, *views.shape[-3:])
    if size > views.shape[-1]:
        stack = F.interpolate(stack, size=(size, size), mode="bilinear", align_corners=False)
    else:
        stack = F.interpolate(stack, size=(size, size), mode="area")
    return stack.view(*views.shape[:-2], size, size)


def _with_picture(maps: ViewMaps, picture: Tensor) -> ViewMaps:
    """The maps with the picture's own outline and colours in the reference view."""
    own = picture[:3] / picture[3:].clamp_min(1e-3)
    alpha, rgb = torch.cat([picture[None, 3], maps.alpha[1:]]), torch.cat([own[None], maps.rgb[1:]])
    return ViewMaps(alpha, maps.depth, rgb)
