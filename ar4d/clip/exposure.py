"""Exposure: frames that a fade or a camera's automatic exposure made darker or brighter than the others.

What does not move, near the picture's border, tells by how much. Under a power law a change of the light
multiplies the stored values, and so does a fade: a factor for each channel undoes both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ar4d.clip.findings import Finding

_RING = 0.06  # width of the border that is compared, in picture sides
_STEADY = 0.05  # relative difference in brightness within the steady group
_NOTICED = 0.1  # relative change that is levelled
_CONSISTENT = 0.12  # quartile range of the ratios, relative: more is another picture, not another exposure
_SAME_LIGHT = 1.3  # largest ratio between the channels' factors: more is another colour
_DARKEST = 24.0  # of 255: darker border pixels measure nothing
_MOST = 3.0  # largest factor: beyond, too few shades are left


@dataclass(frozen=True)
class Exposure:
    """What brings each frame to the brightness of the steady ones."""

    gains: np.ndarray  # [F, 3] float32
    usable: np.ndarray  # [F] bool; false where a frame is too dark to be levelled
    findings: tuple[Finding, ...]

    @staticmethod
    def steady(count: int) -> Exposure:
        """The exposure of frames of which nothing has to be levelled."""
        return Exposure(np.ones((count, 3), np.float32), np.ones(count, bool), ())

    def of(self, frames: np.ndarray) -> Exposure:
        """The exposure of some of the frames, given by their indices."""
        return Exposure(self.gains[frames], self.usable[frames], ())

    def level(self, frame: int, picture: np.ndarray) -> np.ndarray:
        """The picture [h, w, 4] uint8 of a frame as the steady ones are exposed."""
        if (self.gains[frame] == 1).all():
            return picture
        colors = np.clip(np.round(picture[..., :3] * self.gains[frame]), 0, 255).astype(np.uint8)
        return np.dstack([colors, picture[..., 3]])


def measure_exposure(survey: np.ndarray) -> Exposure:
    """Compare the frames' borders.

    Args:
        survey: [F, h, w, 4] uint8, whole pictures.
    """
    count = len(survey)
    gains, usable = np.ones((count, 3), np.float32), np.ones(count, bool)
    ring = _ring(survey)  # [F, P, 3]
    if count < 2 or survey[..., 3].min() < 250 or not ring.shape[1]:
        return Exposure.steady(count)
    steady = _largest_group(ring.mean(axis=(1, 2)))
    reference = np.median(ring[steady], axis=0)  # [P, 3]
    bright = reference.min(axis=-1) > _DARKEST
    if bright.mean() < 0.5:
        return Exposure.steady(count)
    for frame in range(count):
        factor = _factor(ring[frame, bright], reference[bright])
        if factor is None or np.abs(factor - 1).max() <= _NOTICED:
            continue
        if factor.max() > _MOST:
            usable[frame] = False
        elif factor.max() < _SAME_LIGHT * factor.min():
            gains[frame] = factor
    return Exposure(gains, usable, _findings(gains, usable))


def _ring(survey: np.ndarray) -> np.ndarray:
    height, width = survey.shape[1:3]
    thick = max(1, round(_RING * min(height, width)))
    ring = np.ones((height, width), bool)
    ring[thick:-thick, thick:-thick] = False
    return survey[:, ring, :3].astype(np.float32)


def _largest_group(brightness: np.ndarray) -> np.ndarray:
    """Which frames [F] bool are of the brightness that most have; of two groups, the brighter one."""
    near = np.abs(brightness[None] / np.maximum(brightness[:, None], 1e-3) - 1) < _STEADY
    order = np.lexsort((brightness, near.sum(axis=1)))
    return near[order[-1]]


def _factor(values: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
    """The channels' factors [3] from values to reference [P, 3]; None where they do not agree on one."""
    ratio = values / reference
    low, middle, high = np.quantile(ratio, [0.25, 0.5, 0.75], axis=0)
    spread = high - low
    if (spread > _CONSISTENT * np.maximum(middle, 1 / _MOST)).any():
        return None
    return (1 / np.maximum(middle, 1e-3)).astype(np.float32)


def _findings(gains: np.ndarray, usable: np.ndarray) -> tuple[Finding, ...]:
    findings = []
    levelled = tuple(np.flatnonzero((gains != 1).any(axis=1)).tolist())
    if levelled:
        least, most = 1 / gains[list(levelled)].max(), 1 / gains[list(levelled)].min()
        share = f"{100 * least:.0f}" if most - least < 0.02 else f"{100 * least:.0f} to {100 * most:.0f}"
        verb = "was" if len(levelled) == 1 else "were"
        findings.append(
            Finding(
                f"The exposure changes: {{frames}} had {share} % of the usual brightness and {verb} levelled "
                "to the others; with --start and --end you can leave them out.",
                levelled,
            )
        )
    dark = tuple(np.flatnonzero(~usable).tolist())
    if dark:
        findings.append(
            Finding(
                "{frames}: too dark to be used (a fade?), so the clip goes on without; choose --start and "
                "--end to begin and end elsewhere.",
                dark,
            )
        )
    return tuple(findings)
