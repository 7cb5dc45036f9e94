"""Tells a clip's subject from its background: coarse masks of whole pictures first, then the fine cut.

The masks of the survey (small pictures of all frames) decide what the subject is and where. The fine
cut is made frame by frame on the part of a larger picture that the clip shows.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from ar4d.clip.framing import Window
from ar4d.clip.matting import keying
from ar4d.clip.matting.components import drop_specks, follow_subject
from ar4d.clip.matting.morphology import dilate
from ar4d.clip.matting.refinement import (
    fill_false_holes,
    foreground_colors,
    guided_filter,
    resize_maps,
    steady,
)
from ar4d.clip.matting.saliency import saliency
from ar4d.errors import UserError

Background = Literal["auto", "alpha", "plain", "matting", "none"]

_OPAQUE = 250  # of 255: lossy codecs do not keep 255
_MOST_OF_A_PICTURE = 0.8  # share of the pictures that no subject covers if it leaves their border free
_TRANSPARENT_SHARE = 0.001  # of all pixels that make a source one with alpha


class Matte(Protocol):
    name: str  # how the subject is cut out, for the user
    masks: np.ndarray  # [F, h, w] float32 in [0, 1], of whole pictures

    def cut_out(self, frame: int, picture: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Colours [h, w, 3] (straight) and alpha [h, w], float32 in [0, 1], of what `window` shows.

        Args:
            frame: index into `masks`.
            picture: [h, w, 4] uint8, the window's part of the picture.
        """
        ...


def choose_matte(
    survey: np.ndarray, background: Background, threshold: float, largest_component: bool, name: str
) -> Matte:
    """Alpha if there is any, else the key for a plain background, else the network.

    Args:
        survey: [F, h, w, 4] uint8, whole pictures, about 512 pixels large.
        threshold: from which value on a mask's pixel is the subject's.
        largest_component: drop everything that does not hang together with the subject.
        name: of the source, for messages.

    Raises:
        UserError: `background` asks for alpha and there is none, or the network is not installed.
    """
    has_alpha = (survey[..., 3] < _OPAQUE).mean() > _TRANSPARENT_SHARE
    if background == "none":
        return OwnAlpha(survey, "none")
    if background == "alpha" or (background == "auto" and has_alpha):
        if not has_alpha:
            raise UserError(
                f"{name} has no transparent pixels: choose another background setting than alpha."
            )
        return OwnAlpha(survey, "alpha")
    pictures = survey[..., :3]
    if background in ("auto", "plain"):
        plain = keying.find_plain_background(pictures, forced=background == "plain")
        if plain is not None:
            keyed = Keyed(pictures, plain, largest_component)
            if background == "plain" or keyed.is_plausible(pictures):
                return keyed
    return Salient(pictures, threshold, largest_component)


def _is_letterbox(masks: np.ndarray) -> bool:
    """Whether what is left is a rectangle from edge to edge: a picture between bars, not a subject."""
    left = np.min(masks, axis=0) > 0
    rows, columns = np.max(left, axis=1), np.max(left, axis=0)
    spans = bool(rows.all() or columns.all())
    same_in_all = (np.max(masks, axis=0) > 0).sum() < 1.05 * left.sum()
    return spans and same_in_all and bool(left.sum() > 0.95 * rows.sum() * columns.sum())


class OwnAlpha:
    """The pictures' own alpha."""

    def __init__(self, survey: np.ndarray, name: str) -> None:
        self.name = name
        self.masks = survey[..., 3].astype(np.float32) / 255

    def cut_out(self, frame: int, picture: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        values = picture.astype(np.float32) / 255
        return values[..., :3], values[..., 3]


class Keyed:
    """Everything that has not the background's one colour."""

    name = "plain background"

    def __init__(self, pictures: np.ndarray, plain: keying.PlainBackground, largest_component: bool) -> None:
        self._plain = plain
        masks = np.stack(
            [keying.subject_mask(p, c, plain.tolerance) for p, c in zip(pictures, plain.colors, strict=True)]
        )
        masks = follow_subject(masks) if largest_component else drop_specks(masks)
        self.masks = masks.astype(np.float32)

    def is_plausible(self, pictures: np.ndarray) -> bool:
        """Whether the background is plain everywhere, not only at the border of the picture."""
        if _is_letterbox(self.masks) or self.masks.mean() > _MOST_OF_A_PICTURE:
            return False
        middle = len(pictures) // 2
        distance = keying.color_distance(pictures[middle], self._plain.colors[middle])
        subject = self.masks[middle] > 0
        faint = distance[subject] < 4 * self._plain.tolerance  # shadows and slow shades of a wall
        return not faint.size or bool(faint.mean() < 0.5)

    def cut_out(self, frame: int, picture: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        mask, color = self.masks[frame], self._plain.colors[frame]
        scale = window.width / mask.shape[1]
        here = window.of_coarse(mask) > 0.5
        alpha = keying.soft_alpha(picture[..., :3], here, color, self._plain.tolerance, scale)
        values = picture[..., :3].astype(np.float32) / 255
        return foreground_colors(values, alpha, scale, background=color / 255), alpha


class Salient:
    """What the network takes for the picture's main object."""

    name = "u2netp"

    def __init__(self, pictures: np.ndarray, threshold: float, largest_component: bool) -> None:
        self._threshold = threshold
        maps = resize_maps(steady(saliency(pictures), pictures), *pictures.shape[1:3])
        maps = np.stack([fill_false_holes(m, p, threshold) for m, p in zip(maps, pictures, strict=True)])
        subject = maps > threshold
        subject = follow_subject(subject) if largest_component else drop_specks(subject)
        # With its soft outline, which lies outside what is above the threshold.
        self.masks = maps * np.stack([dilate(mask, 9) for mask in subject])

    def cut_out(self, frame: int, picture: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        mask = self.masks[frame]
        scale = window.width / mask.shape[1]
        values = picture[..., :3].astype(np.float32) / 255
        guided = guided_filter(values, window.of_coarse(mask), radius=max(2, round(3 * scale)))
        low, high = 0.6 * self._threshold, self._threshold + 0.4 * (1 - self._threshold)
        alpha = np.clip((guided - low) / (high - low), 0, 1)
        return foreground_colors(values, alpha, scale), alpha
