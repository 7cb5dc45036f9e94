"""Training examples for the embedded expert, made from rendered samples.

Every sample has the four orthogonal views of two neighbouring poses. Any of the views can play the
reference view, and every example can be mirrored: eight examples a pose before a colour is changed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import IterableDataset

from ar4d.experts.embedded.geometry import VIEWS, project, rays, sample_at, sample_view
from ar4d.experts.embedded.network import BEHIND, IN_SIZE, OUT_SIZE, encode
from ar4d.experts.embedded.symmetry import proper

TEST_AZIMUTHS_DEG = (-75.0, 15.0, 105.0, 195.0)
DEPTH_UNIT = 1 / 16384  # world units, of the stored depths
SKIN = 0.012  # world units by which renders may disagree about a surface
PLACES = 256  # of each other view whose colour an example tells
UNTOLD = 0.3  # share of examples that do not show the mirrored picture
BESIDE_DEG, WRONG_DEG, WRONG, ENDS_EXCHANGED = 8.0, 25.0, 0.2, 0.1  # of planes, and shares of examples
ASIDE = 0.02  # world units
SINGLE, CLEAN = 0.65, 0.1  # shares of examples with one view, and with two to four true ones


@dataclass(frozen=True)
class Paint:
    """How an example's colours differ from the sample's: the same for all its views."""

    channels: tuple[int, ...]  # which one each of red, green and blue is taken from
    tones: np.ndarray  # [256] float32 in [0, 1], of each value


PLAIN = Paint((0, 1, 2), np.arange(256, dtype=np.float32) / 255)


@dataclass(frozen=True)
class Example:
    """A batch (or one, without the first dimension) of examples."""

    inputs: Tensor  # [B, C, 64, 64] of `encode`
    alpha: Tensor  # [B, 64, 64] of the reference view
    front: Tensor  # [B, 64, 64] world units, 0 where nothing is
    solid: Tensor  # [B, len(BEHIND), 64, 64] 0 or 1
    places: Tensor  # [B, P, 3] in the picture ([-1, 1]) and how far behind the front
    colors: Tensor  # [B, P, 3] what other views see there
    counts: Tensor  # [B, P] whether a place is one

    def to(self, device: torch.device) -> Example:
        return Example(**{name: x.to(device, non_blocking=True) for name, x in vars(self).items()})


class Samples:
    """The arrays of one or more folders of rendered samples, read from disk as they are needed."""

    def __init__(self, folders: tuple[Path, ...], validation: bool) -> None:
        self.places: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]] = []
        self.planes: list[Tensor] = []
        for folder in folders:
            shots = iter(json.loads((folder / "samples.json").read_text()))
            for path in sorted(folder.glob("rgba_*.npy")):
                files = [
                    path.with_name(path.name.replace("rgba", kind)) for kind in ("rgba", "depth", "test")
                ]
                rgba, depth, test = (np.load(file, mmap_mode="r") for file in files)
                for k in range(len(rgba)):
                    shot = next(shots)
                    if shot["validation"] == validation:
                        # Animals are fewer than people in armour, and differ more from each other.
                        times = 2 if shot["actor"].startswith("fauna/") and not validation else 1
                        self.places += [(rgba, depth, test, k)] * times
                        self.planes += [torch.tensor(shot["plane"] or (0.0,) * 4)] * times

    def __len__(self) -> int:
        return len(self.places)

    def views(self, index: int, pose: int, paint: Paint = PLAIN) -> tuple[Tensor, Tensor]:
        """Premultiplied [4, 4, S, S] in [0, 1] and depth [4, S, S] of a pose from the orthogonal views."""
        rgba, depth, _, k = self.places[index]
        far = torch.from_numpy(depth[k, pose].astype(np.float32) * np.float32(DEPTH_UNIT))
        return _premultiplied(rgba[k, pose], paint), far

    def view(self, index: int, pose: int, roll: int, paint: Paint) -> Tensor:
        """Premultiplied [4, S, S] of one of the orthogonal views."""
        rgba, _, _, k = self.places[index]
        return _premultiplied(rgba[k, pose, roll], paint)

    def test_views(self, index: int) -> Tensor:
        """[4, S, S, 4] straight alpha of the first pose, seen from between the orthogonal views."""
        _, _, test, k = self.places[index]
        return torch.from_numpy(test[k].astype(np.float32) / 255)


def _premultiplied(rgba: np.ndarray, paint: Paint) -> Tensor:
    """[..., 4, S, S] in [0, 1] of bytes [..., S, S, 4]."""
    pixels = np.ascontiguousarray(np.moveaxis(rgba, -1, -3))
    result = np.empty(pixels.shape, np.float32)
    result[..., 3, :, :] = pixels[..., 3, :, :] * np.float32(1 / 255)
    for channel, source in enumerate(paint.channels):
        tones = paint.tones[pixels[..., source, :, :]]
        np.multiply(tones, result[..., 3, :, :], out=result[..., channel, :, :])
    return torch.from_numpy(result)


def example(samples: Samples, index: int, random: np.random.Generator) -> Example:
    """A sample, turned, mirrored, recoloured, and hidden in part."""
    pose = int(random.integers(2))
    roll, mirror = int(random.integers(VIEWS)), random.random() < 0.5
    paint = painted(random)
    views, depth = arranged(*samples.views(index, pose, paint), roll, mirror)
    given = torch.zeros(VIEWS, dtype=torch.bool)
    given[0] = True
    shown = views
    kind = random.random()
    if kind < CLEAN:
        given[1 + random.permutation(VIEWS - 1)[: int(random.integers(1, VIEWS))]] = True
    elif kind > CLEAN + SINGLE:  # what stage 2 shows: the frame, and renders of the one before
        given[:] = True
        if random.random() < 0.7:
            stale, _ = arranged(*samples.views(index, 1 - pose, paint), roll, mirror)
            shown = torch.cat([views[:1], stale[1:]])
        shown = torch.cat([shown[:1], _spoilt(shown[1:], random)])
    plane = turned(samples.planes[index], roll, mirror)
    told = proper(_mistaken(plane, random)[None])
    inputs = encode(shown[None], given[None], told * (random.random() >= UNTOLD))[0]
    alpha, front, solid = targets(views, depth)
    return Example(inputs, alpha, front, solid, *_colored_places(views, depth, front, random))


def targets(views: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Alpha, front depth and `solid` along the reference view's rays.

    There is something where every view that looks that way sees the object at that depth or before.
    """
    factor = IN_SIZE // OUT_SIZE
    alpha = F.avg_pool2d(views[:1, 3:], factor)[0, 0]
    nearest = -F.max_pool2d(-torch.where(depth[0] > 0, depth[0], torch.inf)[None], factor)[0]
    front = torch.where(torch.isfinite(nearest), nearest, 0)
    on = (front > 0) & (alpha > 0.3)
    origins, directions = rays(OUT_SIZE)
    distances = front[on][:, None] + torch.tensor(BEHIND)
    points = origins[0, 0] + directions[0][on][:, None] * distances[..., None]  # [n, bins, 3]
    inside = torch.ones(points.shape[:2], dtype=torch.bool)
    for view in range(1, VIEWS):
        places, far = project(points, view)
        seen = sample_at(views[view, 3:], places)[0]
        surface = sample_at(depth[view][None], places, "nearest")[0]
        inside &= (seen > 0.5) & (far > surface - SKIN)
    solid = torch.zeros(len(BEHIND), OUT_SIZE, OUT_SIZE)
    solid[:, on] = inside.float().T
    return alpha, front * on, solid


def _colored_places(
    views: Tensor, depth: Tensor, front: Tensor, random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """What the other views see, told by where it lies behind the reference view's pixels."""
    origins, directions = rays(IN_SIZE)
    points, colors = [], []
    for view in range(1, VIEWS):
        ys, xs = torch.nonzero((depth[view] > 0) & (views[view, 3] > 0.99), as_tuple=True)
        if len(ys):
            chosen = torch.from_numpy(random.integers(0, len(ys), PLACES))
            y, x = ys[chosen], xs[chosen]
            points.append(origins[view, 0] + directions[view, y, x] * depth[view, y, x, None])
            colors.append(views[view, :3, y, x].T)
    if not points:
        return torch.zeros(3 * PLACES, 3), torch.zeros(3 * PLACES, 3), torch.zeros(3 * PLACES)
    place, far = project(torch.cat(points), 0)
    before = sample_view(front[None], torch.cat(points), 0, "nearest")[0]
    counts = ((before > 0) & (far > before - SKIN)).float()
    result = torch.cat([place, (far - before).clamp_min(0)[:, None]], -1)
    missing = 3 * PLACES - len(result)
    return (
        F.pad(result, (0, 0, 0, missing)),
        F.pad(torch.cat(colors), (0, 0, 0, missing)),
        F.pad(counts, (0, missing)),
    )


def arranged(views: Tensor, depth: Tensor, roll: int, mirror: bool) -> tuple[Tensor, Tensor]:
    """The views in the order that starts at `roll`; mirrored, left and right change places."""
    order = [(roll + k) % VIEWS for k in range(VIEWS)]
    if mirror:
        order = [order[0], order[3], order[2], order[1]]
        return views[order].flip(-1), depth[order].flip(-1)
    return views[order], depth[order]


def turned(plane: Tensor, roll: int, mirror: bool) -> Tensor:
    """The plane [4] of a sample that is arranged so."""
    c, s, x, z = plane.tolist()
    for _ in range(roll):
        c, s, x, z = -c, -s, -z, x
    return torch.tensor([c, -s, -x, z] if mirror else [c, s, x, z])


def _mistaken(plane: Tensor, random: np.random.Generator) -> Tensor:
    """The plane as a network tells it: a little beside, sometimes far, sometimes with its ends exchanged."""
    c, s, x, z = plane.tolist()
    kind = random.random()
    if kind < ENDS_EXCHANGED:
        s = -s
    off = float(random.normal(0, WRONG_DEG if kind > 1 - WRONG else BESIDE_DEG))
    turn = 2 * math.radians(off)
    c, s = c * math.cos(turn) - s * math.sin(turn), c * math.sin(turn) + s * math.cos(turn)
    x, z = (v + float(random.normal(0, ASIDE)) for v in (x, z))
    return torch.tensor([c, s, x, z])


def painted(random: np.random.Generator) -> Paint:
    """Channels change places and brightness its curve."""
    channels = random.permutation(3) if random.random() < 0.4 else np.arange(3)
    gamma, gain = float(np.exp(random.normal(0, 0.25))), float(random.uniform(0.8, 1.15))
    return Paint(tuple(channels.tolist()), (gain * PLAIN.tones**gamma).clip(0, 1).astype(np.float32))


def _spoilt(views: Tensor, random: np.random.Generator) -> Tensor:
    """Views [N, 4, S, S] as renders of a guess have them: too thick, out of place, blurred, with holes."""
    count = len(views)
    place = torch.zeros(count, 2, 3)
    place[:, 0, 0] = torch.from_numpy(np.exp(random.normal(0, 0.15, count)))
    place[:, 1, 1] = torch.from_numpy(np.exp(random.normal(0, 0.02, count)))
    place[:, :, 2] = torch.from_numpy(random.normal(0, [0.03, 0.01], (count, 2)))
    grid = F.affine_grid(place, list(views.shape), align_corners=False)
    moved = F.grid_sample(views, grid, align_corners=False)
    if random.random() < 0.6:
        size = int(random.integers(IN_SIZE // 4, IN_SIZE))
        small = F.interpolate(moved, size=(size, size), mode="area")
        moved = F.interpolate(small, size=views.shape[-2:], mode="bilinear")
    for _ in range(int(random.integers(0, 3))):
        y, x = random.integers(0, IN_SIZE - 16, 2)
        moved[int(random.integers(count)), :, y : y + 12, x : x + 12] *= float(random.uniform(0, 0.6))
    return moved


class Examples(IterableDataset):
    """Endless examples in random order."""

    def __init__(self, samples: Samples, seed: int) -> None:
        self.samples, self.seed = samples, seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        torch.set_num_threads(1)
        random = np.random.default_rng(self.seed)
        order: list[int] = []
        while True:
            order = order or random.permutation(len(self.samples)).tolist()
            yield vars(example(self.samples, order.pop(), random))
