"""The canonical frame: the one that stage 1 lifts, and from which generation runs forwards and backwards.

Any frame may serve. A good one is sharp, complete, unoccluded and well lit; each of these is a number
in [0, 1], and a frame's score is their product. The first frame is taken unless another is clearly better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from ar4d.clip.clip import Clip
from ar4d.clip.framing import Crop
from ar4d.errors import UserError
from ar4d.images import on_white, to_float

AS_GOOD = 0.95  # share of the best score above which a frame is as good as the best
CLEARLY_BETTER = 1.2  # ratio of scores above which another frame replaces the first
_NOTICEABLE = 0.9  # of a quality: below, the reason names it
_FULL_PENALTY = 0.1  # share of the outline on the picture's border at which a frame counts as a quarter
_USUAL_QUANTILE = 0.75  # of the clip's areas and detail: what a good frame of this clip shows
_SMOOTHING = 1.0  # pixels; coding noise is finer than that
_BLOWN_OUT = 0.98  # luminance
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # BT.709


@dataclass(frozen=True)
class FrameQuality:
    """How well a frame shows the subject; each number lies in [0, 1], and 1 is best in the clip."""

    sharpness: float
    """Detail inside the silhouette, against the clip's sharpest quarter."""
    completeness: float
    """1 where the subject stays clear of the source picture's border, 1/4 where it is cut off."""
    visibility: float
    """Root of the silhouette's area against the clip's usual one: an occluder takes some of it away."""
    exposure: float
    """Brightness against the clip's usual one, less the share of blown-out pixels."""

    @property
    def score(self) -> float:
        """The product of the four."""
        return self.sharpness * self.completeness * self.visibility * self.exposure


def choose_canonical(clip: Clip, wanted: Literal["auto"] | int = "auto") -> tuple[int, str]:
    """Choose the frame on which the canonical Gaussians are built.

    Args:
        clip: the cut-out clip.
        wanted: a frame's index in the clip, counted from 0, or "auto" for the best one.

    Returns:
        The index, and one sentence that says why that frame was chosen.

    Raises:
        UserError: the clip has no frame of that index.
    """
    last = clip.num_frames - 1
    if wanted != "auto":
        if not 0 <= wanted <= last:
            raise UserError(
                f"The clip has no frame {wanted}: choose a canonical frame from 0 to {last}, or auto."
            )
        return wanted, f"Frame {wanted} (counted from 0) is the canonical one, as requested."
    if last == 0:
        return 0, "Frame 0 is the canonical one: the clip has no other."
    qualities = rate_frames(clip)
    scores = [quality.score for quality in qualities]
    best = _best(scores)
    if scores[best] <= CLEARLY_BETTER * scores[0]:
        return (
            0,
            f"Frame 0 is the canonical one: no other shows the subject clearly better{_flaws(qualities[0])}.",
        )
    better = _advantages(qualities[best], qualities[0])
    return (
        best,
        f"Frame {best} (counted from 0) is the canonical one: compared with frame 0, {better}"
        f"{_flaws(qualities[best])}.",
    )


def _best(scores: list[float]) -> int:
    """Of the frames that are about as good as the best, the one nearest to the clip's middle.

    From there the chains of frames to both ends are shortest, and errors add up along a chain.
    """
    good = np.flatnonzero(np.array(scores) >= AS_GOOD * max(scores))
    return int(good[np.abs(good - (len(scores) - 1) / 2).argmin()])


def rate_frames(clip: Clip) -> list[FrameQuality]:
    """Rate every frame of a clip against the others.

    Args:
        clip: the cut-out clip, with at least one frame.
    """
    frames = to_float(clip.frames)
    alpha = frames[..., 3]
    areas = alpha.sum(axis=(1, 2))
    luminance = on_white(frames) @ _LUMA  # [F, S, S]
    sharpness = _relative(np.array([_detail(y, a) for y, a in zip(luminance, alpha, strict=True)]))
    visibility = np.sqrt(_relative(areas))  # a subject that moves changes its area, too
    exposure = _exposure(luminance, alpha)
    return [
        FrameQuality(
            sharpness=float(sharpness[f]),
            completeness=_completeness(alpha[f], clip.crop),
            visibility=float(visibility[f]),
            exposure=float(exposure[f]),
        )
        for f in range(clip.num_frames)
    ]


def _relative(values: np.ndarray) -> np.ndarray:
    """Values [F] divided by the clip's usual high value, at most 1; all 1 where there is nothing."""
    usual = float(np.quantile(values, _USUAL_QUANTILE))
    return np.minimum(values / usual, 1) if usual > 0 else np.ones(len(values))


def _detail(luminance: np.ndarray, alpha: np.ndarray) -> float:
    """Upper quartile of the gradient inside the silhouette, as a share of its mean brightness.

    Motion blur and defocus lower it; a change of the exposure does not.
    """
    reach = max(1, round(0.02 * len(alpha)))
    inside = np.asarray(ndimage.binary_erosion(alpha > 0.5 * alpha.max(initial=0), iterations=reach), bool)
    if not inside.any():
        return 0.0
    gradient = np.asarray(ndimage.gaussian_gradient_magnitude(luminance, _SMOOTHING))[inside]
    return float(np.quantile(gradient, 0.9)) / max(float(luminance[inside].mean()), 0.02)


def _completeness(alpha: np.ndarray, crop: Crop) -> float:
    """1 less up to 3/4 for the share of the outline that lies on the source picture's border."""
    size = len(alpha)
    scale = size / crop.side
    left, top = -crop.x * scale, -crop.y * scale
    right, bottom = left + crop.source_width * scale, top + crop.source_height * scale
    subject = alpha > 0.5 * alpha.max(initial=0)
    ys, xs = np.mgrid[:size, :size] + 0.5
    # Two pixels: the soft outline may keep clear of the very border.
    near = (xs < left + 2) | (xs > right - 2) | (ys < top + 2) | (ys > bottom - 2)
    outline = subject & ~np.asarray(ndimage.binary_erosion(subject, border_value=0), bool)
    if not outline.any():
        return 1.0
    share = float((outline & near).sum() / outline.sum())
    return 1 - 0.75 * min(share / _FULL_PENALTY, 1.0)


def _exposure(luminance: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """[F]: how close each frame's brightness is to the usual one, less what is blown out.

    What most frames of the clip show blown out is the subject's own white.
    """
    weight = alpha / np.maximum(alpha.sum(axis=(1, 2), keepdims=True), 1e-6)
    brightness = (luminance * weight).sum(axis=(1, 2))
    usual = float(np.quantile(brightness, _USUAL_QUANTILE))
    ratio = np.maximum(brightness, 1e-3) / max(usual, 1e-3)
    blown = ((luminance > _BLOWN_OUT) * weight).sum(axis=(1, 2))
    excess = np.maximum(blown - np.median(blown), 0)
    return np.minimum(ratio, 1 / ratio) * (1 - excess)


_WORDS = {
    "sharpness": ("it is sharper", "it is blurred"),
    "completeness": ("it shows all of the subject", "the picture's border cuts the subject off"),
    "visibility": ("it shows more of the subject", "part of the subject seems hidden"),
    "exposure": ("it is better lit", "its brightness is unusual for the clip"),
}


def _advantages(best: FrameQuality, first: FrameQuality) -> str:
    gains = {name: getattr(best, name) / max(getattr(first, name), 1e-3) for name in _WORDS}
    chosen = [name for name, gain in gains.items() if gain > 1.05] or [max(gains, key=lambda n: gains[n])]
    return " and ".join(_WORDS[name][0] for name in chosen)


def _flaws(quality: FrameQuality) -> str:
    flaws = [words[1] for name, words in _WORDS.items() if getattr(quality, name) < _NOTICEABLE]
    return f" (still, {' and '.join(flaws)})" if flaws else ""
