"""A two-sided object of few Gaussians: a reddish front sheet and a bluish back sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.clip import Clip, Crop
from ar4d.engines.ar4d.fitting import ViewCache
from ar4d.gaussians import Gaussians
from ar4d.images import to_uint8, unpremultiply
from ar4d.rendering import Rendering, render
from ar4d.settings import ReferenceRig
from tests.support import reference

SIZE = 24
RIG = ReferenceRig(size=SIZE, pseudo_size=16, elevation_deg=10.0, sides_deg=180)
CELLS = 6  # Gaussians along each side of a sheet
DEPTH = 0.2  # half the distance between the sheets, world units


def two_sided(front: Sequence[float] = (0, 0, 0), back: Sequence[float] = (0, 0, 0)) -> Gaussians:
    """2 · 6 · 6 Gaussians, the front sheet first; each sheet is shifted by its own vector."""
    along = (torch.arange(CELLS) - (CELLS - 1) / 2) * 0.1
    y, x = torch.meshgrid(along, along, indexing="ij")
    slant = 0.05 * x + 0.03 * y  # no two Gaussians at one depth: their order would be open
    flat = torch.stack([x, y, slant], -1).reshape(-1, 3)
    means = [flat + torch.tensor([0, 0, z]) + torch.tensor(s) for z, s in ((DEPTH, front), (-DEPTH, back))]
    stripes = 0.25 * (flat[:, :1] > 0) + 0.15 * (flat[:, 1:2] > 0)
    ramp = torch.linspace(0, 0.15, len(flat))[:, None]
    red, blue = torch.tensor([0.4, 0.15, 0.1]), torch.tensor([0.1, 0.2, 0.5])
    count = 2 * len(flat)
    return Gaussians(
        means=torch.cat(means),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        scales=torch.tensor([0.05, 0.05, 0.02]).repeat(count, 1),
        opacities=torch.full((count,), 0.9),
        colors=torch.cat([red + stripes + ramp, blue + stripes - ramp / 2]),
    )


def sheets(gaussians: Gaussians) -> tuple[Gaussians, Gaussians]:
    """The front and the back of a `two_sided` object."""
    half = len(gaussians) // 2
    return gaussians.map(lambda x: x[:half]), gaussians.map(lambda x: x[half:])


def pictures(frames: Sequence[Gaussians], azimuth_deg: float = 0.0, rig: ReferenceRig = RIG) -> Tensor:
    """[F, S, S, 4] straight alpha in [0, 1]: the frames as a camera of the rig sees them."""
    camera = orbit(azimuth_deg, rig.elevation_deg, size=rig.size)
    with torch.no_grad():
        views = [render(gaussians, camera, background=None) for gaussians in frames]
    return torch.cat([unpremultiply(torch.cat([v.rgb, v.alpha[..., None]], -1)) for v in views])


def clip_of(frames: Sequence[Gaussians], rig: ReferenceRig = RIG) -> Clip:
    """What the reference camera records of the frames."""
    recorded = to_uint8(pictures(frames, rig=rig))
    return Clip(recorded, 10.0, Crop(0.0, 0.0, float(rig.size), rig.size, rig.size), "toy", "alpha", ())


def exact_view(gaussians: Gaussians, azimuth_deg: float, size: int, elevation_deg: float) -> Rendering:
    """A view on white by the float64 rasteriser."""
    camera = orbit(float(azimuth_deg), elevation_deg, size=size)
    return Rendering(*reference.rasterize(gaussians, camera, background=(1, 1, 1)))


class RecordingCache(ViewCache):
    """Notes the azimuths that it is asked for."""

    def __init__(self, gaussians: Gaussians, rig: ReferenceRig = RIG, covered_only: bool = False) -> None:
        super().__init__(gaussians, rig.elevation_deg, rig.pseudo_size, covered_only)
        self.azimuths: list[int] = []

    def at(self, azimuth_deg: int) -> Rendering:
        self.azimuths.append(azimuth_deg)
        return super().at(azimuth_deg)


class KnownViews:
    """`PseudoViews` whose Ĝ is known; notes each call as (frame, step)."""

    def __init__(self, known: Sequence[Gaussians], rig: ReferenceRig = RIG) -> None:
        self.caches = [RecordingCache(gaussians, rig) for gaussians in known]
        self.calls: list[tuple[int, int]] = []

    def at(self, frame_index: int, gaussians: Gaussians, u: int) -> ViewCache:
        self.calls.append((frame_index, u))
        return self.caches[frame_index]


class RecordingExpert:
    """Every role of an object's run with a known answer; notes what it was given.

    Frame k is recognised by its picture: the answer to a picture is the object that shows it best.
    """

    name = "recording"

    def __init__(self, known: Sequence[Gaussians], rig: ReferenceRig = RIG) -> None:
        self.known, self.shown = list(known), pictures(known, rig=rig)
        self.lifted: list[tuple[Tensor, int, float]] = []
        self.reconstructed: list[tuple[Tensor, float]] = []

    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        self.lifted.append((rgba, budget, elevation_deg))
        return self._recognised(rgba)

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        self.reconstructed.append((rgba.clone(), elevation_deg))
        return self._recognised(rgba[0])

    def _recognised(self, rgba: Tensor) -> Gaussians:
        return self.known[int((self.shown - rgba).abs().mean((1, 2, 3)).argmin())].detach()


def shifted(count: int, step: float = 0.06) -> list[Gaussians]:
    """The front sheet moves to the right by `step` a frame, the back sheet stays."""
    return [two_sided(front=(step * k, 0, 0)) for k in range(count)]


def with_rig(rig: ReferenceRig = RIG, **changes: float) -> ReferenceRig:
    return replace(rig, **changes)
