"""Training examples for the embedded expert: shots turned, mirrored, recoloured, hidden in part.

Any of an object's views can play the reference view, and every example can be mirrored: eight examples
a pose before a colour is changed. All of it happens on the device that the shots are on.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.experts.embedded.geometry import VIEWS, project, rays
from ar4d.experts.embedded.network import BEHIND, IN_SIZE, OUT_SIZE, encode
from ar4d.experts.embedded.symmetry import proper
from train.data.device_constants import constant
from train.data.rng import Dice
from train.data.samples import Shots

SKIN = 0.012  # world units by which renders may disagree about a surface
PLACES = 256  # of each other view whose colour an example tells
UNTOLD = 0.3  # share of examples that do not show the mirrored picture
BESIDE_DEG, WRONG_DEG, WRONG, ENDS_EXCHANGED = 8.0, 25.0, 0.2, 0.1  # of planes, and shares of examples
ASIDE = 0.02  # world units
SINGLE, CLEAN = 0.65, 0.1  # shares of examples with one view, and with two to four true ones
STALE, BLURRED = 0.7, 0.6  # shares of the rest whose other views are of the pose before, or are blurred
HOLE = 12  # pixels
MIRRORED = (0, 3, 2, 1)  # what plays each view's part in the mirror


@dataclass(frozen=True)
class Examples:
    """A batch."""

    inputs: Tensor  # [B, C, 64, 64] of `encode`
    alpha: Tensor  # [B, 64, 64] of the reference view
    front: Tensor  # [B, 64, 64] world units, 0 where nothing is
    solid: Tensor  # [B, len(BEHIND), 64, 64] 0 or 1
    places: Tensor  # [B, P, 3] in the picture ([-1, 1]) and how far behind the front
    colors: Tensor  # [B, P, 3] what other views see there
    counts: Tensor  # [B, P] whether a place is one

    def split(self, size: int) -> list[Examples]:
        """Batches of that size."""
        parts = zip(*(getattr(self, field.name).split(size) for field in fields(self)), strict=True)
        return [Examples(*tensors) for tensors in parts]


@torch.no_grad()
def examples(shots: Shots, random: torch.Generator) -> Examples:
    """One of each shot.

    Args:
        random: on the shots' device.
    """
    dice = Dice(len(shots.planes), shots.planes.device, random)
    rolls, mirror = dice.numbers(VIEWS), dice.chance(0.5)
    paint = Paint.random(dice)
    views, before = (paint(arranged(x, rolls, mirror)) for x in (shots.views, shots.before))
    depth = arranged(shots.depth, rolls, mirror)
    kind = dice.uniform()
    given = torch.zeros(dice.count, VIEWS, dtype=torch.bool, device=kind.device)
    true = kind < CLEAN
    rendered = kind > CLEAN + SINGLE  # what stage 2 shows: the frame, and renders of the one before
    order = dice.uniform(VIEWS - 1).argsort(1)
    given[:, 1:] = (true[:, None] & (order < 1 + dice.numbers(VIEWS - 1)[:, None])) | rendered[:, None]
    given[:, 0] = True
    others = torch.where(_each(dice.chance(STALE), views), before, views)[:, 1:]
    others = torch.where(_each(rendered, views), spoilt(others, dice), views[:, 1:])
    told = proper(mistaken(turned(shots.planes, rolls, mirror), dice)) * ~dice.chance(UNTOLD)[:, None]
    told = told * shots.planes.any(1)[:, None]
    inputs = encode(torch.cat([views[:, :1], others], 1), given, told)
    alpha, front, solid = targets(views, depth)
    return Examples(inputs, alpha, front, solid, *colored_places(views, depth, front, random))


@dataclass(frozen=True)
class Paint:
    """How colours differ from the shots': channels change places and brightness its curve."""

    channels: Tensor  # [B, 3] which one each of red, green and blue is taken from
    gamma: Tensor  # [B]
    gain: Tensor  # [B]

    @staticmethod
    def random(dice: Dice) -> Paint:
        mixed = dice.uniform(3).argsort(1)
        own = torch.arange(3, device=dice.device).expand_as(mixed)
        return Paint(
            channels=torch.where(dice.chance(0.4)[:, None], mixed, own),
            gamma=(0.25 * dice.normal()).exp(),
            gain=0.8 + 0.35 * dice.uniform(),
        )

    def __call__(self, views: Tensor) -> Tensor:
        """Of premultiplied views [B, V, 4, S, S]."""
        alpha = views[:, :, 3:]
        straight = (views[:, :, :3] / alpha.clamp_min(1e-3)).clamp(0, 1)
        channels = self.channels[:, None, :, None, None].expand(-1, views.shape[1], -1, *views.shape[-2:])
        straight = straight.gather(2, channels)
        painted = _each(self.gain, views) * straight ** _each(self.gamma, views)
        return torch.cat([painted.clamp(0, 1) * alpha, alpha], 2)


def arranged(views: Tensor, rolls: Tensor, mirror: Tensor) -> Tensor:
    """Views [B, 4, ..., S] in the order that starts at `rolls` [B]; mirrored left and right change places."""
    own = torch.arange(VIEWS, device=views.device)
    parts = torch.where(mirror[:, None], constant(MIRRORED, views.device), own)
    order = (rolls[:, None] + parts) % VIEWS
    rows = torch.arange(len(views), device=views.device)[:, None]
    result = views[rows, order]
    return torch.where(_each(mirror, result), result.flip(-1), result)


def turned(planes: Tensor, rolls: Tensor, mirror: Tensor) -> Tensor:
    """The planes [B, 4] of what is arranged so."""
    c, s, x, z = planes.unbind(1)
    even, second = 1 - 2 * (rolls % 2), 1 - 2 * (rolls // 2)
    c, s = even * c, even * s
    # A quarter turn brings (x, z) to (-z, x).
    x, z = torch.where(rolls % 2 == 1, -z, x) * second, torch.where(rolls % 2 == 1, x, z) * second
    side = 1 - 2 * mirror.long()
    return torch.stack([c, side * s, side * x, z], 1)


def mistaken(planes: Tensor, dice: Dice) -> Tensor:
    """Planes [B, 4] as a network tells them: a little beside or far, sometimes with ends exchanged."""
    c, s = planes[:, 0], torch.where(dice.chance(ENDS_EXCHANGED), -planes[:, 1], planes[:, 1])
    off = torch.where(dice.chance(WRONG), WRONG_DEG, BESIDE_DEG) * dice.normal()
    a = 2 * torch.deg2rad(off)
    direction = torch.stack([c * a.cos() - s * a.sin(), c * a.sin() + s * a.cos()], 1)
    return torch.cat([direction, planes[:, 2:] + ASIDE * dice.normal(2)], 1)


def spoilt(views: Tensor, dice: Dice) -> Tensor:
    """Views [B, V, 4, S, S] as renders of a guess have them: too thick, out of place, blurred, with holes."""
    count, size = views.shape[1], views.shape[-1]
    place = torch.zeros(dice.count, count, 2, 3, device=views.device)
    place[..., 0, 0] = (0.15 * dice.normal(count)).exp()
    place[..., 1, 1] = (0.02 * dice.normal(count)).exp()
    place[..., 0, 2], place[..., 1, 2] = 0.03 * dice.normal(count), 0.01 * dice.normal(count)
    flat = views.flatten(0, 1)
    grid = F.affine_grid(place.flatten(0, 1), list(flat.shape), align_corners=False)
    moved = F.grid_sample(flat, grid, align_corners=False).unflatten(0, (-1, count))
    moved = torch.where(_each(dice.chance(BLURRED), moved), blurred(moved, IN_SIZE // 4, dice), moved)
    line = torch.arange(size, device=views.device)
    holes = dice.numbers(3)
    for hole in range(2):
        y, x, which = dice.numbers(size - 16), dice.numbers(size - 16), dice.numbers(count)
        rows, columns = ((line >= start[:, None]) & (line < start[:, None] + HOLE) for start in (y, x))
        inside = rows[:, :, None] & columns[:, None, :] & (holes > hole)[:, None, None]
        views_hit = torch.arange(count, device=views.device) == which[:, None]
        inside = inside[:, None, None] & views_hit[:, :, None, None, None]
        moved = torch.where(inside, moved * _each(0.6 * dice.uniform(), moved), moved)
    return moved


def blurred(views: Tensor, smallest: int, dice: Dice) -> Tensor:
    """[B, ..., S, S] made smaller and larger again; all of a batch by as much."""
    size = int(torch.randint(smallest, views.shape[-1], (), generator=dice.random, device=dice.device))
    flat = views.reshape(-1, *views.shape[-3:])
    small = F.interpolate(flat, size=(size, size), mode="area")
    return F.interpolate(small, size=views.shape[-2:], mode="bilinear").view_as(views)


def targets(views: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Alpha and front depth [B, 64, 64] and `solid` [B, len(BEHIND), 64, 64] along the reference view's rays.

    There is something where every view that looks that way sees the object at that depth or before.
    """
    factor = IN_SIZE // OUT_SIZE
    alpha = F.avg_pool2d(views[:, 0, 3:], factor)[:, 0]
    nearest = -F.max_pool2d(-torch.where(depth[:, :1] > 0, depth[:, :1], torch.inf), factor)[:, 0]
    front = torch.where(torch.isfinite(nearest), nearest, 0)
    on = (front > 0) & (alpha > 0.3)
    origins, directions = rays(OUT_SIZE, views.device)
    behind = constant(BEHIND, views.device)
    distances = front[:, None] + behind[:, None, None]
    points = origins[0] + directions[0] * distances[..., None]  # [B, bins, H, W, 3]
    inside = on[:, None].expand(-1, len(BEHIND), -1, -1)
    for view in range(1, VIEWS):
        places, far = project(points, view)
        seen = _sampled(views[:, view, 3:], places)[:, 0]
        surface = _sampled(depth[:, view, None], places, "nearest")[:, 0]
        inside = inside & (seen > 0.5) & (far > surface - SKIN)
    return alpha, front * on, inside.float()


def colored_places(
    views: Tensor, depth: Tensor, front: Tensor, random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """What the other views see, told by where it lies behind the reference view's pixels."""
    origins, directions = rays(IN_SIZE, views.device)
    there = ((depth[:, 1:] > 0) & (views[:, 1:, 3] > 0.99)).flatten(2)  # [B, 3, S²]
    odds = torch.where(there.any(2, keepdim=True), there, True).float()
    chosen = torch.multinomial(odds.flatten(0, 1), PLACES, replacement=True, generator=random)
    chosen = chosen.view(len(views), VIEWS - 1, PLACES)
    valid = there.gather(2, chosen)
    far = depth[:, 1:].flatten(2).gather(2, chosen)
    ways = directions[1:].flatten(1, 2)[torch.arange(VIEWS - 1, device=views.device)[:, None], chosen]
    points = (origins[1:, 0] + ways * far[..., None]).flatten(1, 2)  # [B, P, 3]
    colors = views[:, 1:, :3].flatten(3).transpose(2, 3)
    colors = colors.gather(2, chosen[..., None].expand(-1, -1, -1, 3)).flatten(1, 2)
    places, away = project(points, 0)
    before = _sampled(front[:, None], places, "nearest")[:, 0]
    counts = valid.flatten(1) & (before > 0) & (away > before - SKIN)
    return torch.cat([places, (away - before).clamp_min(0)[..., None]], -1), colors, counts.float()


def _sampled(images: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """[B, C, ...] of images [B, C, H, W] at places [B, ..., 2] in [-1, 1]; 0 outside."""
    grid = places.reshape(len(places), 1, -1, 2)
    found = F.grid_sample(images, grid, mode=mode, align_corners=False)[:, :, 0]
    return found.unflatten(-1, places.shape[1:-1])


def _each(rows: Tensor, like: Tensor) -> Tensor:
    """One number a row [B], for tensors [B, ...]."""
    return rows.view(-1, *(1,) * (like.ndim - 1))
