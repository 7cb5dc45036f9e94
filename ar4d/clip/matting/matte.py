"""Tells a clip's subject from its background: coarse masks of whole pictures first, then the fine cut.

The masks of the survey (small pictures of all frames) decide what the subject is and where. The fine
cut is made frame by frame on the part of a larger picture that the clip shows.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from ar4d.clip.findings import Finding
from ar4d.clip.framing import Window
from ar4d.clip.matting import keying
from ar4d.clip.matting.components import drop_specks, follow_subject, largest_left_out
from ar4d.clip.matting.gaps import open_gaps
from ar4d.clip.matting.morphology import dilate
from ar4d.clip.matting.overlays import find_picture, standing_lines, without_lines
from ar4d.clip.matting.plate import compare_with_plate
from ar4d.clip.matting.refinement import (
    fill_false_holes,
    foreground_colors,
    guided_filter,
    resize_maps,
    steady,
)
from ar4d.clip.matting.saliency import saliency
from ar4d.clip.matting.shadows import find_shadows
from ar4d.clip.progress import OnFrame, ignore
from ar4d.errors import UserError
from ar4d.threads import parallel_map

Background = Literal["auto", "alpha", "plain", "matting", "none"]

_EVERYWHERE = (slice(None), slice(None))
_INVISIBLE = 8  # of 255
_OPACITY_QUANTILE = 0.95  # of a subject's alpha; its soft outline is a small part of it
_TRANSLUCENT = 0.9  # opacity below which a subject counts as see-through
_OPAQUE = 250  # of 255: lossy codecs do not keep 255
_RIVAL = 0.5  # of the subject's area, from which on another object could be meant
_NOTICEABLE = 0.02  # of the subject's area, from which on what is left out is named
_HARDLY_DIFFERENT = 40.0  # Euclidean distance of colours, 0 to 255 per channel
_LINES = Finding(
    "Thin lines over the whole picture (the watermark of a preview?) were left out around the subject and "
    "remain on it: use the clip without them if you can."
)
_SHADOW = "The subject's shadow on the floor was left out in {frames}."
_DOUBTFUL_SHADOW = (
    "What lies under the subject in {frames} may be its shadow and was kept: look at the cut-out, and film "
    "on a floor without shadows if it is one."
)
_FAINT = (
    "Subject and background can hardly be told apart in {frames}: look whether the outline is right, and "
    "film before another background if it is not."
)
_BARS = Finding("Bars or a frame of one colour around the picture were left out.")
_MUCH_MORE = 1.5  # times the area
_MOST_OF_A_PICTURE = 0.8  # share of the pictures that no subject covers if it leaves their border free
_TRANSPARENT_SHARE = 0.001  # of all pixels that make a source one with alpha


@dataclass(frozen=True)
class Selection:
    """Which of the things that stand out from the background are the subject."""

    largest_component: bool = True  # drop everything that does not hang together with the subject
    point: tuple[float, float] | None = None  # where it is in the first frame, in shares of the picture


class Matte(Protocol):
    name: str  # how the subject is cut out, for the user
    masks: np.ndarray  # [F, h, w] float32 in [0, 1], of whole pictures
    findings: list[Finding]  # about what was left out, and what may have gone wrong
    inside: tuple[slice, slice]  # rows and columns of the masks that bars leave free
    opacity: float  # of the subject, in (0, 1]: less than 1 where it is see-through all over

    def cut_out(self, frame: int, picture: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Colours [h, w, 3] (straight) and alpha [h, w], float32 in [0, 1], of what `window` shows.

        Args:
            frame: index into `masks`.
            picture: [h, w, 4] uint8, the window's part of the picture.
        """
        ...


def choose_matte(
    survey: np.ndarray,
    background: Background,
    threshold: float,
    selection: Selection,
    name: str,
    on_frame: OnFrame = ignore,
) -> Matte:
    """Choose alpha if there is any, else the key for a plain background, else the network.

    Args:
        survey: [F, h, w, 4] uint8, whole pictures, about 512 pixels large.
        threshold: alpha from which on a mask's pixel is the subject's.
        selection: what to take for the subject.
        name: of the source, for messages.
        on_frame: is called as the network goes through the frames.

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
    inside = find_picture(pictures)
    if inside is None:
        return _separate(pictures, background, threshold, selection, on_frame)
    inner = _separate(pictures[:, inside[0], inside[1]], background, threshold, selection, on_frame)
    return Framed(inner, inside, pictures.shape[1:3])


def _separate(
    pictures: np.ndarray,
    background: Background,
    threshold: float,
    selection: Selection,
    on_frame: OnFrame,
) -> Matte:
    """Key a plain background where there is one; otherwise ask the network."""
    if background in ("auto", "plain"):
        plain = keying.find_plain_background(pictures, forced=background == "plain")
        if plain is not None:
            keyed = Keyed(pictures, plain, selection)
            plausible = background == "plain" or keyed.is_plausible(pictures)
            strict = keying.strict(plain, pictures)
            if not plausible or _shows_more(pictures, strict, plain):
                faint = Keyed(pictures, strict, selection)
                if faint.is_crisp(pictures):
                    return faint
            if plausible:
                return keyed
    return Salient(pictures, threshold, selection, on_frame=on_frame)


def _shows_more(pictures: np.ndarray, strict: keying.PlainBackground, plain: keying.PlainBackground) -> bool:
    """Whether the lower tolerance shows a subject of which the other shows a part, such as its eyes."""
    middle = len(pictures) // 2
    more, usual = (
        keying.subject_mask(pictures[middle], background.colors[middle], background.tolerance).sum()
        for background in (strict, plain)
    )
    return bool(more > _MUCH_MORE * usual)


def _select(masks: np.ndarray, selection: Selection) -> tuple[np.ndarray, list[Finding]]:
    """The subject's part of masks [F, h, w] bool, and what to say of the rest."""
    if not selection.largest_component:
        return drop_specks(masks), []
    subject = follow_subject(masks, selection.point)
    others = largest_left_out(masks, subject)
    rivals = tuple(np.flatnonzero(others > _RIVAL).tolist())
    if len(rivals) > 0.3 * len(masks) and selection.point is None:
        share = 100 * float(np.median(others[list(rivals)]))
        return subject, [
            Finding(
                f"Another object of {share:.0f} % of the subject's size was left out in {{frames}}: choose "
                "the subject with --subject X Y, or keep everything with --no-largest-component.",
                rivals,
            )
        ]
    smaller = tuple(np.flatnonzero((others > _NOTICEABLE) & (others <= _RIVAL)).tolist())
    if len(smaller) > 0.3 * len(masks):
        return subject, [
            Finding(
                "Something beside the subject (text, a logo, another object) was left out in {frames}; "
                "--no-largest-component keeps it.",
                smaller,
            )
        ]
    return subject, []


def _is_letterbox(masks: np.ndarray) -> bool:
    """Whether what is left is a rectangle from edge to edge: a picture between bars, not a subject."""
    left = np.min(masks, axis=0) > 0
    rows, columns = np.max(left, axis=1), np.max(left, axis=0)
    spans = bool(rows.all() or columns.all())
    same_in_all = (np.max(masks, axis=0) > 0).sum() < 1.05 * left.sum()
    return spans and same_in_all and bool(left.sum() > 0.95 * rows.sum() * columns.sum())


def subject_opacity(alpha: np.ndarray) -> float:
    """How opaque a subject is, in (0, 1].

    Args:
        alpha: of any shape, uint8.
    """
    visible = alpha[alpha > _INVISIBLE]
    peak = float(np.quantile(visible, _OPACITY_QUANTILE)) / 255 if visible.size else 1.0
    return 1.0 if peak > _TRANSLUCENT else peak


def _translucent(opacity: float) -> Finding:
    return Finding(
        f"The subject is see-through: at most {100 * opacity:.0f} % opaque. Its transparency is kept."
    )


class OwnAlpha:
    """The pictures' own alpha."""

    inside = _EVERYWHERE

    def __init__(self, survey: np.ndarray, name: str) -> None:
        self.name = name
        self.masks = survey[..., 3].astype(np.float32) / 255
        self.opacity = subject_opacity(survey[..., 3])
        self.findings = [] if self.opacity == 1 else [_translucent(self.opacity)]

    def cut_out(self, frame: int, picture: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        values = picture.astype(np.float32) / 255
        return values[..., :3], values[..., 3]


class Keyed:
    """Everything that has not the background's one colour."""

    name = "plain background"
    inside = _EVERYWHERE
    opacity = 1.0

    def __init__(self, pictures: np.ndarray, plain: keying.PlainBackground, selection: Selection) -> None:
        self._plain = plain
        different = parallel_map(
            lambda frame: keying.color_distance(*frame) > plain.tolerance,
            zip(pictures, plain.colors, strict=True),
        )
        lines = standing_lines(np.stack(list(different)))
        if lines is not None:
            pictures = without_lines(pictures, lines)
        frames = zip(pictures, plain.colors, strict=True)
        found = np.stack(list(parallel_map(lambda f: keying.subject_mask(*f, plain.tolerance), frames)))
        self._pictures, self._selection, self._lines = pictures, selection, lines
        self.everything = open_gaps(pictures, found, plain)
        self._choose(self.everything)

    def _choose(self, found: np.ndarray) -> None:
        """Take the subject out of everything that was found, [F, h, w] bool."""
        masks, self.findings = _select(found, self._selection)
        if self._lines is not None:
            self.findings.append(_LINES)
        shadows = find_shadows(self._pictures, masks, self._plain.colors)
        if shadows.masks.any():
            masks = _select(masks & ~shadows.masks, Selection(self._selection.largest_component))[0]
            frames = tuple(np.flatnonzero(shadows.masks.any(axis=(1, 2))).tolist())
            self.findings.append(Finding(_SHADOW, frames))
        if shadows.doubtful:
            self.findings.append(Finding(_DOUBTFUL_SHADOW, shadows.doubtful))
        self.masks = masks.astype(np.float32)
        self.findings += self._faint(self._pictures)

    def within(self, windows: Sequence[tuple[slice, slice]], on_frame: OnFrame = ignore) -> Keyed:
        """The same of a part of each picture: what lies outside is no candidate for the subject."""
        inside = np.zeros_like(self.everything)
        for frame, (rows, columns) in enumerate(windows):
            inside[frame, rows, columns] = True
        other = copy.copy(self)
        other._choose(self.everything & inside)
        return other

    def _faint(self, pictures: np.ndarray) -> list[Finding]:
        """Frames in which the subject can hardly be told from the background."""
        faint = []
        for frame, (picture, mask) in enumerate(zip(pictures, self.masks > 0, strict=True)):
            if mask.any():
                contrast = keying.color_distance(picture, self._plain.colors[frame])[mask]
                if np.median(contrast) < _HARDLY_DIFFERENT:
                    faint.append(frame)
        return [Finding(_FAINT, tuple(faint))] if faint else []

    def is_plausible(self, pictures: np.ndarray) -> bool:
        """Whether the background is plain everywhere, not only at the border of the picture."""
        if not self._leaves_room():
            return False
        middle = len(pictures) // 2
        distance = keying.color_distance(pictures[middle], self._plain.colors[middle])
        subject = self.masks[middle] > 0
        faint = distance[subject] < 4 * self._plain.tolerance  # shadows and slow shades of a wall
        return not faint.size or bool(faint.mean() < 0.5)

    def is_crisp(self, pictures: np.ndarray) -> bool:
        """Whether what differs a little from the background has an object's outline in every frame."""
        return self._leaves_room() and all(
            keying.has_crisp_outline(picture, mask > 0, color, self._plain.tolerance)
            for picture, mask, color in zip(pictures, self.masks, self._plain.colors, strict=True)
        )

    def _leaves_room(self) -> bool:
        return not _is_letterbox(self.masks) and float(self.masks.mean()) <= _MOST_OF_A_PICTURE

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
    inside = _EVERYWHERE
    opacity = 1.0

    def __init__(
        self,
        pictures: np.ndarray,
        threshold: float,
        selection: Selection,
        windows: Sequence[tuple[slice, slice]] | None = None,
        on_frame: OnFrame = ignore,
    ) -> None:
        """
        Args:
            windows: rows and columns of each frame that the network is shown, in place of the whole picture.
        """
        self._pictures, self._threshold, self._selection = pictures, threshold, selection
        if windows is None:
            maps = resize_maps(steady(saliency(pictures, on_frame), pictures), *pictures.shape[1:3])
        else:
            parts = saliency([p[where] for p, where in zip(pictures, windows, strict=True)], on_frame)
            maps = steady(_placed(parts, windows, pictures.shape[:3]), pictures)
        maps = np.stack([fill_false_holes(m, p, threshold) for m, p in zip(maps, pictures, strict=True)])
        maps = compare_with_plate(maps, pictures, threshold)
        self.everything = maps > threshold
        subject, self.findings = _select(self.everything, selection)
        # With its soft outline, which lies outside what is above the threshold.
        self.masks = maps * np.stack([dilate(mask, 9) for mask in subject])

    def within(self, windows: Sequence[tuple[slice, slice]], on_frame: OnFrame = ignore) -> Salient:
        """The same of a part of each picture, which the network then sees larger."""
        return Salient(self._pictures, self._threshold, self._selection, windows, on_frame)

    def cut_out(self, frame: int, picture: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        mask = self.masks[frame]
        scale = window.width / mask.shape[1]
        values = picture[..., :3].astype(np.float32) / 255
        guided = guided_filter(values, window.of_coarse(mask), radius=max(2, round(3 * scale)))
        low, high = 0.6 * self._threshold, self._threshold + 0.4 * (1 - self._threshold)
        alpha = np.clip((guided - low) / (high - low), 0, 1)
        return foreground_colors(values, alpha, scale), alpha


def _placed(parts: np.ndarray, windows: Sequence[tuple[slice, slice]], shape: tuple[int, ...]) -> np.ndarray:
    """Maps [F, h, w] of whole pictures that hold the parts' maps, and 0 around them."""
    maps = np.zeros(shape, np.float32)
    for frame, (rows, columns) in enumerate(windows):
        part = maps[frame, rows, columns]
        part[...] = resize_maps(parts[frame : frame + 1], *part.shape)[0]
    return maps


class Framed:
    """The matte of what bars or a frame leave free of the picture."""

    def __init__(self, matte: Matte, inside: tuple[slice, slice], shape: tuple[int, int]) -> None:
        self.name = matte.name
        self.findings = [*matte.findings, _BARS]
        self.inside = inside
        self.opacity = matte.opacity
        self._matte = matte
        rows, columns = inside
        around = ((0, 0), (rows.start, shape[0] - rows.stop), (columns.start, shape[1] - columns.stop))
        self.masks = matte.masks = np.pad(matte.masks, around)
        self._free = np.zeros(shape, np.float32)
        self._free[inside] = 1

    def cut_out(self, frame: int, picture: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        colors, alpha = self._matte.cut_out(frame, picture, window)
        return colors, np.where(window.of_coarse(self._free) > 0.99, alpha, 0)
