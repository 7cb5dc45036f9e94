"""When an asset is looked at, and what it holds then."""

from __future__ import annotations

import torch

from ar4d.asset import Asset4D, frame_time
from ar4d.errors import UserError
from ar4d.gaussians import Gaussians


def duration(asset: Asset4D) -> float:
    """Seconds from t = 0 to t = 1; the length of one frame for an asset of a single frame."""
    return max(asset.num_frames - 1, 1) / asset.fps


def evenly_spaced(asset: Asset4D, num_frames: int | None = None) -> list[float]:
    """Times from 0 to 1, both included: the clip's own frames, or as many as asked for.

    The asset is continuous: further frames are evaluations of their own, not repetitions.
    """
    count = asset.num_frames if num_frames is None else num_frames
    if count < 1:
        raise UserError(f"An export needs at least 1 frame, not {count}.")
    return [frame_time(index, count) for index in range(count)]


def evaluate(asset: Asset4D, t: float) -> Gaussians:
    """The Gaussians at time `t` without a gradient history.

    Raises:
        UserError: `t` lies outside [0, 1], or there is nothing there that a file could hold.
    """
    if not 0 <= t <= 1:
        raise UserError(f"The time {t:g} lies outside the clip; choose one from 0 (start) to 1 (end).")
    with torch.no_grad():
        gaussians = asset.at(t).map(torch.Tensor.detach)
    if len(gaussians) == 0:
        raise UserError(f"The asset holds no Gaussians at t = {t:g}; make the run again.")
    for name, values in gaussians.state().items():
        if not values.isfinite().all():
            raise UserError(f"The asset's {name} are not finite at t = {t:g}; make the run again.")
    return gaussians
