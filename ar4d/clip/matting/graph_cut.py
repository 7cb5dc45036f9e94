"""Splits a region of a picture into subject and rest by colours and edges: GrabCut (Rother et al. 2004).

OpenCV's GrabCut starts from labels and learns a mixture of colours for each side. The mixtures of one
frame serve the neighbouring frames, where the flow's labels take the place of a user's.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ar4d.clip.matting.morphology import nearest_set

REST, SUBJECT, PERHAPS_REST, PERHAPS_SUBJECT = 0, 1, 2, 3  # cv2.GC_BGD, GC_FGD, GC_PR_BGD, GC_PR_FGD

_MARGIN = 12  # pixels around the undecided ones that are looked at
_ROUNDS = 4
_COMPONENTS = 5  # of each mixture, fixed by OpenCV
_WIDTH = 10.0  # of 255: the least standard deviation of a mixture's component
_SEED = 1  # OpenCV starts the mixtures from random clusters


@dataclass(frozen=True)
class Colors:
    """Two mixtures of colours in OpenCV's layout, each [1, 65] float64."""

    rest: np.ndarray
    subject: np.ndarray

    def evidence(self, picture: np.ndarray) -> np.ndarray:
        """How much likelier the subject is than the rest by a pixel's colour alone: [h, w], log ratio."""
        return _log_density(self.subject, picture) - _log_density(self.rest, picture)


def split(
    picture: np.ndarray, labels: np.ndarray, region: np.ndarray, colors: Colors | None = None
) -> np.ndarray:
    """Decide the undecided pixels of a region.

    Args:
        picture: [h, w, 3] uint8.
        labels: [h, w] uint8 of REST, SUBJECT, PERHAPS_REST and PERHAPS_SUBJECT.
        region: [h, w] bool; what lies outside is the rest's, but neither its colours nor its edges count.
        colors: known mixtures, which then stay as they are; by default they are learnt from the labels.

    Returns:
        The subject [h, w] bool.
    """
    subject = ((labels % 2) == 1) & region
    if not (region & (labels >= PERHAPS_REST)).any():
        return subject
    rows, columns = (_around(np.asarray(region.any(axis=axis))) for axis in (1, 0))
    inside = region[rows, columns]
    part = _with_sharp_border(picture[rows, columns], inside)
    cut = np.where(inside, labels[rows, columns], REST).astype(np.uint8)
    for _ in range(1 if colors is not None else _ROUNDS):
        sides = (cut % 2) == 1, ((cut % 2) == 0) & inside
        known = colors if colors is not None else learn(part, *sides)
        if known is None or not all(side.any() for side in sides):
            break
        mixtures = known.rest.copy(), known.subject.copy()
        cv2.grabCut(part, cut, None, *mixtures, 1, cv2.GC_EVAL_FREEZE_MODEL)  # type: ignore[call-overload]
    subject[rows, columns] = (cut % 2) == 1
    return subject


def _with_sharp_border(picture: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The picture with far-off colours around a region, so that its border costs a cut nothing."""
    if inside.all():
        return np.ascontiguousarray(picture)
    nearest = picture[nearest_set(inside)]
    return np.where(inside[..., None], picture, nearest + np.uint8(128)).astype(np.uint8)


def learn(picture: np.ndarray, subject: np.ndarray, rest: np.ndarray) -> Colors | None:
    """The mixtures of two sets of pixels [h, w] bool; None where one of them is empty.

    Their covariances are widened: under a mixture of a picture without noise, other colours would have
    a density of 0, and OpenCV's cut fails on its logarithm.
    """
    if not subject.any() or not rest.any():
        return None
    kept = subject | rest
    pixels = np.ascontiguousarray(picture[kept][None])  # one row: neighbours do not matter here
    labels = np.where(subject[kept], SUBJECT, REST).astype(np.uint8)[None].copy()
    mixtures = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(_SEED)
    cv2.grabCut(pixels, labels, None, *mixtures, 1, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    for mixture in mixtures:
        mixture[0, 4 * _COMPONENTS :].reshape(_COMPONENTS, 3, 3)[:] += _WIDTH**2 * np.eye(3)
    return Colors(*mixtures)


def _around(used: np.ndarray) -> slice:
    cells = np.flatnonzero(used)
    return slice(max(0, int(cells[0]) - _MARGIN), int(cells[-1]) + 1 + _MARGIN)


def _log_density(mixture: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Logarithm of a mixture's density, up to a constant, at each pixel [h, w]."""
    k = _COMPONENTS
    weights, means, covariances = np.split(mixture.ravel(), [k, 4 * k])
    pixels = picture.astype(np.float64)
    total = np.full(picture.shape[:2], 1e-12)
    for c in np.flatnonzero(weights > 0):
        covariance = covariances.reshape(k, 3, 3)[c]
        offset = pixels - means.reshape(k, 3)[c]
        distance = np.einsum("hwi,ij,hwj->hw", offset, np.linalg.inv(covariance), offset)
        total += weights[c] * np.exp(-0.5 * distance) / np.sqrt(np.linalg.det(covariance))
    return np.log(total)
