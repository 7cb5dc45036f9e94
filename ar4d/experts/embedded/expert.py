"""The embedded expert: two small networks that come with the program, for machines without a GPU."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.embedded.back import frontality, with_back_from_outline
from ar4d.experts.embedded.crops import SUPERSAMPLE
from ar4d.experts.embedded.facing import FacingNetwork, NetworkPlaneFinder, PlaneFinder
from ar4d.experts.embedded.geometry import VIEWS
from ar4d.experts.embedded.network import IN_SIZE, OUT_SIZE, Network, Prediction, encode
from ar4d.experts.embedded.prior import regularize_with_silhouette
from ar4d.experts.embedded.surface import ViewMaps, gaussians_from_views, grid_size, resample
from ar4d.experts.embedded.volume import render_views
from ar4d.experts.protocols import Unavailable
from ar4d.experts.surfels import to_world
from ar4d.gaussians import Gaussians
from ar4d.images import premultiply

WEIGHTS = Path(__file__).parent / "weights" / "embedded.safetensors"
LICENCE = "CC BY-SA 3.0"
SHA256 = "c7c746303edb5c921335e5898386313430523eacc282cf653656fff19ce232d1"
"""Hash of the file at WEIGHTS."""
PSEUDO_BUDGET = 8000
"""Gaussians of a reconstruction from four views."""
MOST_LOOKED_AT = 48
"""Frames of a clip that are asked where the object faces."""
LEAST_WEIGHT = 0.02
"""Weight of a plane of symmetry from which its prediction counts. Without those of less weight, alphas of
reconstructions from four views change by 0.0007 on average at most, and most take half the time."""
NO_PLANE = torch.zeros(1, 4), torch.ones(1)
"""The only hypothesis for a raised camera, in whose frame an upright plane is no longer upright."""
FIRST_VIEW, ALL_VIEWS = (True, False, False, False), (True, True, True, True)


@dataclass(frozen=True)
class Embedded:
    """`ImageToGaussians` and `ViewsToGaussians` by the embedded networks, on the CPU."""

    network: Network
    plane_finder: PlaneFinder
    """Finds the planes of symmetry; the network predicts once for each of them."""
    view_subsets: tuple[tuple[bool, ...], ...] = (FIRST_VIEW, ALL_VIEWS)
    """Subsets of the four views from which `reconstruct` predicts; the predictions are averaged. In stage 2,
    views 1 to 3 are renders of earlier guesses: using them keeps what is right, and predicting from the
    clip's frame alone as well corrects what is wrong."""
    least_weight: float = LEAST_WEIGHT
    """Weight below which `reconstruct` leaves a plane's prediction out."""
    name: str = "embedded"

    @staticmethod
    def available(device: torch.device) -> Unavailable | None:
        """Why the expert cannot run, or None if it can."""
        if WEIGHTS.exists():
            return None
        return Unavailable(
            f"the embedded expert needs its weights, {WEIGHTS}: "
            "start the program from a whole copy of its repository."
        )

    @staticmethod
    def load(device: torch.device) -> Embedded:
        """Load the expert with its bundled weights; it always computes on the CPU."""
        network, facing = load_networks(WEIGHTS, SHA256)
        return Embedded(network, NetworkPlaneFinder(facing))

    def with_clip(self, clip: Tensor, facing_deg: float | None = None) -> Embedded:
        """See `ClipAware.with_clip`: several frames show the facing direction better than one.

        A long clip's first frame would wait for it, so that no more than MOST_LOOKED_AT frames are looked at.
        """
        size = min(clip.shape[1], SUPERSAMPLE * IN_SIZE)
        pictures = (_resize(_to_channels(premultiply(frame.cpu().float())), size) for frame in clip)
        stride = math.ceil(len(clip) / MOST_LOOKED_AT)
        return replace(self, plane_finder=self.plane_finder.with_clip(pictures, facing_deg, stride))

    @property
    def facing_estimate(self) -> tuple[float, float] | None:
        """See `ClipAware.facing_estimate`."""
        return self.plane_finder.facing_estimate

    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """See `ImageToGaussians.lift`."""
        views = _pad_views(_to_channels(premultiply(rgba.cpu().float())))
        return self._gaussians(views, (FIRST_VIEW,), budget, elevation_deg).to(rgba.device)

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        """See `ViewsToGaussians.reconstruct`.

        Only the first view is used if `elevation_deg` is not 0: the network was trained with four cameras in
        one plane, not on a cone.
        """
        if elevation_deg != 0:
            return self.lift(rgba[0], PSEUDO_BUDGET, elevation_deg)
        views = torch.stack([_to_channels(premultiply(view)) for view in rgba.cpu().float()])
        return self._gaussians(views, self.view_subsets, PSEUDO_BUDGET, 0, self.least_weight).to(rgba.device)

    @torch.no_grad()
    def guess_views(self, rgba: Tensor) -> ViewMaps:
        """What the four orthogonal cameras see, guessed from the first one's picture at elevation 0.

        The likeliest plane of symmetry alone is assumed, which takes a quarter of the time that all take.

        Args:
            rgba: [S, S, 4] in [0, 1], straight alpha; it shows an object.

        Returns:
            Maps of OUT_SIZE² pixels, on the CPU.
        """
        views = _pad_views(_to_channels(premultiply(rgba.cpu().float())))
        planes, _ = self.plane_finder(views[0])
        return self._maps(views, (FIRST_VIEW,), planes[:1], torch.ones(1))

    @torch.no_grad()
    def _gaussians(
        self,
        views: Tensor,
        view_subsets: tuple[tuple[bool, ...], ...],
        budget: int,
        elevation_deg: float,
        least_weight: float = 0.0,
    ) -> Gaussians:
        """Gaussians from premultiplied views [4, 4, S, S]; planes below `least_weight` are left out."""
        if not bool((views[0, 3] > 0.5).any()):
            raise UserError(
                "The picture shows no object: its cut-out is empty; correct the background removal."
            )
        planes, weights = self.plane_finder(views[0]) if elevation_deg == 0 else NO_PLANE
        kept = weights >= min(least_weight, float(weights.max()))
        planes, weights = planes[kept], weights[kept] / weights[kept].sum()
        maps = self._maps(views, view_subsets, planes, weights)
        frontal, guessed = frontality(planes, weights), view_subsets.count(FIRST_VIEW) / len(view_subsets)
        size = grid_size(maps.alpha, budget)
        maps = _with_picture(resample(maps, size), _resize(views[:1], size)[0])
        gaussians = gaussians_from_views(maps, planes[0], float(weights[0]), texture=guessed * (1 - frontal))
        return to_world(gaussians, elevation_deg)

    def _maps(
        self,
        views: Tensor,
        view_subsets: tuple[tuple[bool, ...], ...],
        planes: Tensor,
        weights: Tensor,
    ) -> ViewMaps:
        """What the four cameras see of the object in premultiplied views [4, 4, S, S]."""
        pictures, small = _resize(views, IN_SIZE), _resize(views[:1], OUT_SIZE)[0]
        mean = self._predict(pictures, planes, view_subsets)
        maps = render_views(regularize_with_silhouette(mean, small[3]), small, planes, weights)
        guessed = view_subsets.count(FIRST_VIEW) / len(view_subsets)
        return with_back_from_outline(maps, small, guessed * frontality(planes, weights))

    def _predict(
        self, pictures: Tensor, planes: Tensor, view_subsets: tuple[tuple[bool, ...], ...]
    ) -> Prediction:
        """Predictions [K, …] for K planes [K, 4], each the mean over the subsets of pictures [4, 4, S, S]."""
        view_mask = torch.tensor(view_subsets).repeat(len(planes), 1)
        repeated = planes.repeat_interleave(len(view_subsets), 0)
        prediction = self.network(encode(pictures.expand(len(repeated), -1, -1, -1, -1), view_mask, repeated))
        per_plane = (part.unflatten(0, (len(planes), -1)) for part in vars(prediction).values())
        return Prediction(*(part.mean(1) for part in per_plane))


def guess_facing(frames: np.ndarray) -> tuple[float, float] | None:
    """Guess which way the subject of a clip faces in its first frame.

    Args:
        frames: [F, S, S, 4] uint8, straight alpha.

    Returns:
        The azimuth in degrees, in [-90, 90): the subject faces this azimuth or the opposite one; and the
        probability that it is right to within 22.5 degrees. None where the weights are not installed.
    """
    if not WEIGHTS.exists():
        return None
    clip = torch.from_numpy(frames).float() / 255
    return Embedded.load(torch.device("cpu")).with_clip(clip).facing_estimate


def load_networks(path: Path, sha256: str) -> tuple[Network, FacingNetwork]:
    """Load both networks from a safetensors file.

    Args:
        path: the file; its tensors' names start with "network." or "facing.".
        sha256: the file's expected hash, in hexadecimal.

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
        network.load_state_dict(with_prefix(weights, "network."))
        facing.load_state_dict(with_prefix(weights, "facing."))
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{path} does not fit the embedded expert ({error}).") from error
    return network, facing


def with_prefix(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names start with `prefix`, under their names without it."""
    return {name.removeprefix(prefix): x for name, x in weights.items() if name.startswith(prefix)}


def _to_channels(rgba: Tensor) -> Tensor:
    """Pictures [..., 4, S, S] from pictures [..., S, S, 4]."""
    return rgba.movedim(-1, -3)


def _pad_views(view: Tensor) -> Tensor:
    """Four views [4, 4, S, S] of which the first is `view` [4, S, S] and the others are empty."""
    return torch.cat([view[None], torch.zeros(VIEWS - 1, *view.shape)])


def _resize(views: Tensor, size: int) -> Tensor:
    """Resize premultiplied views [..., S, S]: area averages when smaller, bilinear when larger."""
    stack = views.reshape(-1, *views.shape[-3:])
    if size > views.shape[-1]:
        stack = F.interpolate(stack, size=(size, size), mode="bilinear", align_corners=False)
    else:
        stack = F.interpolate(stack, size=(size, size), mode="area")
    return stack.view(*views.shape[:-2], size, size)


def _with_picture(maps: ViewMaps, picture: Tensor) -> ViewMaps:
    """The maps with the reference view's alpha and colour replaced by the picture's [4, H, W]."""
    straight = picture[:3] / picture[3:].clamp_min(1e-3)
    alpha, rgb = torch.cat([picture[None, 3], maps.alpha[1:]]), torch.cat([straight[None], maps.rgb[1:]])
    return ViewMaps(alpha, maps.depth, rgb)
