"""The back of an object that is seen from the front: painted from its outline.

The network predicts the colour of hidden points in the mean, and copies much of it from the visible point in
front of them. Seen from the side that is right, because an animal's other flank looks alike. Seen from the
front it puts eyes and a mouth on the back of the head. There, the outline is the only part of the picture
that belongs to the back as well, so the back takes the outline's colours, continued as smoothly as possible.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from scipy.sparse.linalg import spsolve
from torch import Tensor

from ar4d.experts.embedded.surface import OBJECT_ALPHA, ViewMaps

BACK = 2
"""Index of the view at azimuth 180."""
SOLID_ALPHA = 0.9
"""Alpha of the picture from which a pixel's colour is the object's alone."""
FRINGE, RIM = 1, 3
"""Pixels from the outline at which the rim starts and ends; nearer ones mix with the old background."""
FROM_THE_SIDE, FROM_THE_FRONT = -0.2, 0.7
"""Mean of cos 2A, with A the facing azimuth, at and below which the back is as predicted, and at and above
which it is the outline's alone."""


def frontality(planes: Tensor, weights: Tensor) -> float:
    """How much the object shows its front or its back, not its side.

    Args:
        planes: [K, 4] of symmetry (`ar4d.experts.embedded.symmetry`), 0 where none is known.
        weights: [K], they sum to 1.

    Returns:
        In [0, 1]; 0 where no plane is known.
    """
    if not bool(planes.any()):
        return 0.0
    mean = float((weights * planes[:, 0]).sum())
    return min(max((mean - FROM_THE_SIDE) / (FROM_THE_FRONT - FROM_THE_SIDE), 0.0), 1.0)


def with_back_from_outline(maps: ViewMaps, picture: Tensor, share: float) -> ViewMaps:
    """The maps with the back's colours blended with the continued colours of the picture's outline.

    Args:
        maps: the four views.
        picture: [4, H, W] view 0, premultiplied.
        share: of the outline's colours, in [0, 1].
    """
    mirrored = picture.flip(-1)  # the camera behind sees the outline the other way round
    solid = (mirrored[3] > SOLID_ALPHA).float()
    rim = (_eroded(solid, FRINGE) > 0) & (_eroded(solid, RIM) == 0)
    inside = maps.alpha[BACK] > OBJECT_ALPHA
    if share == 0 or not bool((rim & inside).any()):
        return maps
    straight = (mirrored[:3] / mirrored[3:].clamp_min(1e-3)).clamp(0, 1)
    painted = membrane(straight, (rim & inside).numpy(), inside.numpy())
    rgb = maps.rgb.clone()
    rgb[BACK] = torch.where(inside, torch.lerp(rgb[BACK], painted, share), rgb[BACK])
    return replace(maps, rgb=rgb)


def membrane(rgb: Tensor, known: np.ndarray, inside: np.ndarray) -> Tensor:
    """Continues colours smoothly: the harmonic function with the known colours as its boundary values.

    Every unknown pixel is the mean of its neighbours inside (∇²c = 0, no flow through the outline).

    Args:
        rgb: [3, H, W].
        known: [H, W] bool, pixels that keep their colours.
        inside: [H, W] bool, pixels that get one; a part of it that touches no known pixel gets 0.

    Returns:
        [3, H, W]; pixels that are not inside are as they were.
    """
    rows, columns = np.nonzero(inside & ~known)
    number = np.full(inside.shape, -1)
    number[rows, columns] = np.arange(len(rows))
    colors = rgb.double().numpy()
    degree, wanted = np.full(len(rows), 1e-9), np.zeros((len(rows), 3))
    heads, tails = [], []
    padded = [np.pad(x, 1) for x in (inside, known, number)]
    outer = np.pad(colors, ((0, 0), (1, 1), (1, 1)))
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        place = rows + 1 + down, columns + 1 + right
        there, fixed, neighbour = (x[place] for x in padded)
        degree += there
        wanted += outer[:, place[0], place[1]].T * (there & fixed)[:, None]
        joined = there & ~fixed
        heads.append(np.flatnonzero(joined))
        tails.append(neighbour[joined])
    head, tail, diagonal = np.concatenate(heads), np.concatenate(tails), np.arange(len(rows))
    values = np.concatenate([-np.ones(len(head)), degree])
    places = np.concatenate([head, diagonal]), np.concatenate([tail, diagonal])
    result = rgb.clone()
    if len(rows):
        system = csr_array((values, places), shape=(len(rows), len(rows))).tocsc()
        solved = np.asarray(spsolve(system, wanted)).reshape(len(rows), 3)
        result[:, rows, columns] = torch.from_numpy(solved.T).to(rgb)
    return result


def _eroded(mask: Tensor, pixels: int) -> Tensor:
    """[H, W] with so many pixels taken off at the outline."""
    return -F.max_pool2d(-mask[None, None], 2 * pixels + 1, 1, pixels)[0, 0]
