"""What a visitor sees when the camera turns, of any clip: measured without ground truth.

The clip's own frames are the yardstick of what its object looks like: how busy its surface is, how
jagged its outline, how lively it moves. Views from the sides and from behind should be no worse.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ar4d.asset import Asset4D, frame_time
from ar4d.cameras import orbit
from ar4d.evaluation import debris, metrics
from ar4d.gaussians import Gaussians
from ar4d.images import on_white
from ar4d.rendering import render
from ar4d.visibility import exposure

if TYPE_CHECKING:
    from ar4d.clip import Clip

AROUND_DEG = (30.0, 60.0, 90.0, 135.0, 180.0, 250.0)
HIDDEN = 0.5  # exposure in all frames below which a Gaussian counts as hidden
_FORMATS = {
    "reference_psnr": "{:.2f} dB", "generated_psnr": "{:.2f} dB", "geometry_psnr": "{:.2f} dB",
    "specks": "{:.2f}", "fraying": "{:.2f}", "fog": "{:.1%}", "flicker": "{:.2f}", "color_change": "{:.4f}",
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """Means over frames and, where not said otherwise, over views from AROUND_DEG. None: not defined here."""

    reference_psnr: float  # dB, the asset at the clip's own view
    generated_psnr: float | None  # dB, stage 2's frames there
    geometry_psnr: float | None  # dB, stage 2's frames there in the asset's colours: the motion alone
    specks: float | None  # `debris.specks` over the clip's own; above 1.25 speckled
    fraying: float | None  # `debris.fraying` over the clip's own; 1 is as smooth an outline
    fog: float | None  # share of see-through pixels, smaller is better
    flicker: float | None  # unevenness over time over the clip's own
    color_change: float | None  # mean |Δc| of hidden Gaussians from frame to frame; 0 is quiet

    @property
    def refinement_gain(self) -> float | None:
        """The asset's PSNR minus stage 2's, dB; negative where refinement loses something."""
        return None if self.generated_psnr is None else self.reference_psnr - self.generated_psnr

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def table(self) -> str:
        """The numbers as aligned text, a line each; – where there is none."""
        values = asdict(self)
        width = max(map(len, _FORMATS))
        return "\n".join(
            f"{name.ljust(width)}  {'–' if values[name] is None else form.format(values[name])}"
            for name, form in _FORMATS.items()
        )


@torch.no_grad()
def look(asset: Asset4D, clip: Clip, generated: Sequence[Gaussians] = (), elevation_deg: float = 0.0) -> Look:
    """Measures what an asset looks like from all around.

    Args:
        clip: what the asset was made from.
        generated: the frames of stage 2, one for each of the clip, if they are still there.
        elevation_deg: of the clip's camera.
    """
    rgba = torch.from_numpy(clip.frames).float() / 255
    own, size = on_white(rgba), rgba.shape[1]
    frames = [asset.at(frame_time(k, len(rgba))) for k in range(len(rgba))]
    colored = [
        Gaussians(g.means, g.quats, g.scales, g.opacities, a.colors[: len(g)])
        for g, a in zip(generated, frames, strict=False)
        if len(g) <= len(a)  # those that are born later come last
    ]
    views = [_view(frames, azimuth, elevation_deg, size) for azimuth in AROUND_DEG]
    rgb, alpha = (torch.stack(parts) for parts in zip(*views, strict=True))  # [V, F, S, S(, 3)]
    return Look(
        reference_psnr=_psnr(frames, own, elevation_deg) or 0.0,
        generated_psnr=_psnr(generated, own, elevation_deg),
        geometry_psnr=_psnr(colored, own, elevation_deg),
        specks=_defined(debris.specks(rgb, alpha) / debris.specks(own, rgba[..., 3])),
        fraying=_defined(debris.fraying(alpha) / debris.fraying(rgba[..., 3])),
        fog=_defined(metrics.fog(alpha)),
        flicker=_defined(torch.stack([metrics.flicker(view, own) for view in rgb]).mean()),
        color_change=_color_change(frames, elevation_deg, size),
    )


def _view(frames: Sequence[Gaussians], azimuth_deg: float, elevation_deg: float, size: int):
    camera = orbit(azimuth_deg, elevation_deg, size=size)
    renders = [render(g, camera) for g in frames]
    return torch.cat([r.rgb for r in renders]).clamp(0, 1), torch.cat([r.alpha for r in renders])


def _psnr(frames: Sequence[Gaussians], own: Tensor, elevation_deg: float) -> float | None:
    """Mean PSNR of as many frames as the clip has, at its own view; None where there are others."""
    if len(frames) != len(own):
        return None
    rgb, _ = _view(frames, 0.0, elevation_deg, own.shape[1])
    return metrics.psnr(rgb, own).mean().item()


def _color_change(frames: Sequence[Gaussians], elevation_deg: float, size: int) -> float | None:
    """Mean absolute change of colour between consecutive frames, of what no frame shows."""
    if len(frames) < 2 or len({len(g) for g in frames}) > 1:
        return None
    camera = orbit(0.0, elevation_deg, size=size)
    hidden = torch.stack([exposure(g, camera) for g in frames]).amax(0) < HIDDEN
    if not hidden.any():
        return None
    return fmean((b.colors - a.colors)[hidden].abs().mean().item() for a, b in pairwise(frames))


def _defined(value: Tensor) -> float | None:
    return value.item() if value.isfinite() else None
