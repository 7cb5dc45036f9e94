"""Cuts a subject out of a background of one colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ar4d.clip.matting.morphology import connected_parts, depth_inside, dilate, erode

_RING = 0.02  # width of the border that tells the background, in picture sides
_NEARLY = 12.0  # distance of colours (Euclidean, 0 to 255 per channel) that is still "the same"
_PLAIN_SHARE = 0.75  # of the border that has to have the background's colour
_LEAK = 2  # pixels: gaps up to twice as wide do not let the background in
_FAINT = 4.0  # tolerances: what differs less from the background has to be wide to count as the subject
_FAINT_WIDTH = 5  # pixels
_NOISY = 2.0  # tolerances: compression makes more noise in a hole than outside
_SATURATED = 50.0  # distance from grey from which on a background's hue tells it
_MOSTLY_BACKGROUND = 0.7  # of the background's hue, in a pixel that counts as background
_MORE_THAN_BACKGROUND = 1.2  # of its hue: no mixture with the background can have so much
_FAR = 120.0  # distance of colours that no pixel has that is mostly background
_HOLE_PIXELS = 20  # smaller enclosed spots are noise
_HOLE_AREA = 0.0015  # of the subject: smaller enclosed spots are glints, not holes
_CRISP = 0.7  # of an outline that steps
_BAND = 3  # pixels of the survey over which the outline may be soft


@dataclass(frozen=True)
class PlainBackground:
    """A background's colour in each frame, and the distance up to which a colour belongs to it."""

    colors: np.ndarray  # [F, 3] float32, 0 to 255
    tolerance: float


def find_plain_background(pictures: np.ndarray, forced: bool = False) -> PlainBackground | None:
    """Looks whether the pictures' borders have nearly one colour, over all frames.

    Args:
        pictures: [F, h, w, 3] uint8, whole source pictures.
        forced: take the border's most usual colour even if much of the border differs from it.

    Returns:
        None where the border is of more than one colour.
    """
    border = _border(pictures)  # [F, P, 3]
    usual = np.median(border.reshape(-1, 3), axis=0)
    near = color_distance(border, usual) < _NEARLY  # [F, P]
    if not forced and (near.mean() < _PLAIN_SHARE or near.mean(axis=1).min() < 0.5):
        return None
    colors = [np.median(b[n] if n.any() else b, axis=0) for b, n in zip(border, near, strict=True)]
    colors = np.stack(colors).astype(np.float32)
    return PlainBackground(colors, _tolerance(pictures, colors))


def strict(plain: PlainBackground, pictures: np.ndarray) -> PlainBackground:
    """The same background with the border's own noise as tolerance.

    Around a subject that hardly differs from the background, the usual estimate takes the subject for noise.

    Args:
        pictures: [F, h, w, 3] uint8.
    """
    distances = [color_distance(b, c) for b, c in zip(_border(pictures), plain.colors, strict=True)]
    tolerance = float(np.clip(np.percentile(np.stack(distances), 99) + 1.5, 2.5, plain.tolerance))
    return PlainBackground(plain.colors, tolerance)


def has_crisp_outline(picture: np.ndarray, mask: np.ndarray, color: np.ndarray, tolerance: float) -> bool:
    """Whether the colour steps at a mask's outline, as at an object's and not at a slow shade's.

    Args:
        picture: [h, w, 3] uint8.
        mask: [h, w] bool.
    """
    outline = mask & ~erode(mask, 3)
    if not outline.any():
        return False
    distance = color_distance(picture, color)
    steps = ndimage.maximum_filter(distance, 5) - ndimage.minimum_filter(distance, 5)
    return float((steps[outline] > 1.5 * tolerance).mean()) > _CRISP


def _border(pictures: np.ndarray) -> np.ndarray:
    frames, height, width = pictures.shape[:3]
    ring = np.ones((height, width), bool)
    thick = max(1, round(_RING * min(height, width)))
    ring[thick:-thick, thick:-thick] = False
    return pictures[:, ring].astype(np.float32).reshape(frames, -1, 3)


def _tolerance(pictures: np.ndarray, colors: np.ndarray) -> float:
    """What the source's noise makes necessary. Video compression is at its worst around the subject."""
    noise = []
    for index in np.unique(np.linspace(0, len(pictures) - 1, 8).round().astype(int)):
        distance = color_distance(pictures[index], colors[index])
        subject = dilate(distance > 40, 7)  # with its soft outline
        around = dilate(subject, 19) & ~subject & _outside(distance < 40)
        noise.append(distance[around])
    seen = np.concatenate(noise)
    return float(np.clip(np.percentile(seen, 99) + 2, 2.5, 16)) if seen.size else _NEARLY


def color_distance(picture: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Euclidean distance [...] of colours [..., 3] (0 to 255) from one colour [3]."""
    offset = picture.astype(np.float32) - color.astype(np.float32)
    return np.sqrt(np.einsum("...c,...c->...", offset, offset))


def background_hue(picture: np.ndarray, color: np.ndarray) -> np.ndarray:
    """How much of the background's hue lies in each colour: 1 in the background itself, 0 in a grey.

    Shading does not change it much, which makes a saturated background (a green screen) easier to tell
    than its mere colour does. Of a background without a hue nothing is said: 0 everywhere.

    Args:
        picture: [h, w, 3] uint8.
        color: [3], the background's, 0 to 255.

    Returns:
        [h, w] float32; negative for the opposite hue.
    """
    hue = color - color.mean()
    if np.linalg.norm(hue) < _SATURATED:
        return np.zeros(picture.shape[:2], np.float32)
    return (picture.astype(np.float32) @ (hue / (hue @ hue))).astype(np.float32)


def subject_mask(picture: np.ndarray, color: np.ndarray, tolerance: float) -> np.ndarray:
    """Everything but the background that is connected to the border, and holes of clearly its colour.

    White clothes before a white wall survive where an outline holds the background back (it does not
    pass gaps of four pixels or less) and where their shading is wide enough not to be noise.

    Args:
        picture: [h, w, 3] uint8, a whole source picture, at most about 512 pixels large.

    Returns:
        [h, w] bool.
    """
    distance = color_distance(picture, color)
    subject = ~_outside(_like_background(distance, background_hue(picture, color), tolerance))
    subject &= ~_holes(distance, subject, tolerance)
    solid = dilate(erode(subject, _FAINT_WIDTH), _FAINT_WIDTH)
    return subject & (solid | (distance > _FAINT * tolerance))


def _like_background(distance: np.ndarray, hue: np.ndarray, tolerance: float) -> np.ndarray:
    """Pixels [h, w] bool of the background's colour, or, where it is saturated, mostly of its hue."""
    mostly = (hue > _MOSTLY_BACKGROUND) & (hue < _MORE_THAN_BACKGROUND) & (distance < _FAR)
    return (distance < tolerance) | mostly


def _outside(alike: np.ndarray) -> np.ndarray:
    """What of the pixels that look like background one reaches from the border without narrow gaps."""
    wide = erode(alike, 2 * _LEAK + 1)
    outside = dilate(_touching_border(wide), 2 * _LEAK + 3) & alike
    # Dead ends that only get narrower, as between two fingers, belong to it as well.
    labels, count = connected_parts(alike & ~outside)
    dead_end = np.zeros(count + 1, bool)
    dead_end[np.unique(labels[dilate(outside, 3)])] = True
    dead_end[np.unique(labels[wide])] = False
    dead_end[0] = False
    return outside | dead_end[labels]


def _touching_border(mask: np.ndarray) -> np.ndarray:
    labels, _ = connected_parts(mask)
    edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.isin(labels, np.unique(edges[edges > 0]))


def _holes(distance: np.ndarray, subject: np.ndarray, tolerance: float) -> np.ndarray:
    """Enclosed spots that are large, of the background's very colour, and sharply bounded.

    A blown-out highlight or a white shirt fades into its surroundings; what one sees through a hole
    does not.
    """
    holes = np.zeros_like(subject)
    # Not the outline's own soft pixels, which would tie all holes together.
    inner = erode(subject, 5) & (distance < _NOISY * tolerance)
    labels, _ = connected_parts(inner)
    least = max(_HOLE_PIXELS, _HOLE_AREA * subject.sum())
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = (slice(max(0, s.start - 9), s.stop + 9) for s in box)
        spot = labels[rows, columns] == label
        if spot.sum() < least:
            continue
        around = np.where(subject[rows, columns], distance[rows, columns], np.nan)
        rim = _median(around[dilate(spot, 9) & ~dilate(spot, 5)])
        beyond = _median(around[dilate(spot, 17) & ~dilate(spot, 13)])
        if rim > 6 * tolerance and rim > 0.5 * beyond and _median(around[spot]) < 0.7 * _NOISY * tolerance:
            holes[rows, columns] |= spot
    return holes


def _median(values: np.ndarray) -> float:
    """The median of those values that are numbers; 0 if none is."""
    values = values[~np.isnan(values)]
    return float(np.median(values)) if values.size else 0.0


def soft_alpha(
    picture: np.ndarray, mask: np.ndarray, color: np.ndarray, tolerance: float, scale: float
) -> np.ndarray:
    """Alpha at the outline from where a colour lies between the background's and the subject's.

    With I = α F + (1 − α) B, and F the mean colour of the subject's interior close by,
    α = (I − B)·(F − B) / |F − B|².

    Args:
        picture: [h, w, 3] uint8, the part of a picture that the clip shows, at any scale.
        mask: [h, w] bool, the subject there, which may be coarser than the picture.
        scale: pixels of this picture per pixel of the survey, from which the mask is.

    Returns:
        [h, w] float32.
    """
    offset = picture.astype(np.float32) - color  # I − B
    reach = max(2, int(np.ceil(1.5 * scale)))  # how far the true outline may be from the mask's
    beyond = depth_inside(~mask)
    inside = erode(mask, 2 * reach + 3)
    hue = background_hue(picture, color)
    alike = _like_background(color_distance(picture, color), hue, tolerance)
    background = (beyond > reach) | (alike & ~inside)
    depth = depth_inside(~background)
    band = max(2, round(_BAND * scale))
    window = 2 * band + 1
    interior = mask & (depth >= np.minimum(band, ndimage.maximum_filter(depth, window)))
    subject, weight = _mean_within(offset, interior, window)  # F − B
    contrast = np.sqrt(np.einsum("hwc,hwc->hw", subject, subject))
    alpha = np.einsum("hwc,hwc->hw", offset, subject) / np.maximum(contrast, 1e-3) ** 2
    # The tolerance would cut a step into the ramp: start the ramp there.
    floor = np.minimum(tolerance / np.maximum(contrast, 1e-3), 0.5)
    alpha = np.clip((alpha - floor) / (1 - floor), 0, 1)
    # Where the subject hardly differs from the background, colours say nothing: a plain soft edge.
    trusted = np.clip(contrast / (3 * tolerance) - 1, 0, 1) * (weight > 1e-3)
    blurred = ndimage.uniform_filter(mask.astype(np.float32), 2 * reach + 1)
    alpha = trusted * alpha + (1 - trusted) * blurred
    alpha = np.minimum(alpha, 1 - beyond / (reach + 1))  # what is left of noise close to the outline
    alpha = np.where(interior, 1, alpha)
    deep = depth >= 2 * band
    alpha = np.where(deep, alpha, np.minimum(alpha, _alpha_by_hue(hue, deep, 4 * band + 1)))
    return np.where(background, 0, alpha).astype(np.float32)


def _alpha_by_hue(hue: np.ndarray, deep: np.ndarray, window: int) -> np.ndarray:
    """The most that alpha can be, given how much of the background's hue a pixel has.

    Video stores hues at half the resolution: they reach further into the subject than the outline does.
    What the subject's own colours deep inside have of that hue is not held against it.
    """
    share = ndimage.uniform_filter(deep.astype(np.float32), window)
    own = ndimage.uniform_filter(hue * deep, window) / np.maximum(share, 1e-6)
    own = np.where(share > 1e-3, np.maximum(own, 0), 0.2)
    most = 1 - np.clip((hue - own) / np.maximum(1 - own, 0.1), 0, 1)
    return np.where((own > _MOSTLY_BACKGROUND) | (hue > _MORE_THAN_BACKGROUND), 1, most)


def _mean_within(values: np.ndarray, region: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean [h, w, 3] of those values in a square window that lie in the region, and their share [h, w]."""
    share = ndimage.uniform_filter(region.astype(np.float32), window)
    sums = [ndimage.uniform_filter(values[..., c] * region, window) for c in range(3)]
    return np.stack(sums, axis=-1) / np.maximum(share, 1e-6)[..., None], share
