"""Training examples of the reconstruction network: views reordered, mirrored, recoloured and corrupted.

Each of an object's four views can serve as the reference view, and each example can be mirrored, which makes
eight examples of a pose before any colour is changed. Everything is computed on the views' device.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.experts.embedded.geometry import VIEWS, project, rays
from ar4d.experts.embedded.network import IN_SIZE, OCCUPANCY_OFFSETS, OUT_SIZE, encode
from ar4d.experts.embedded.symmetry import normalize_planes
from train.data.batch_rng import BatchRng
from train.data.device_constants import constant
from train.data.view_batch import ViewBatch

SKIN = 0.012
"""World units by which depths of different views may disagree about a surface."""
COLOR_POINTS = 256
"""Colour targets from each of the other views."""
NO_PLANE_PROB = 0.3
"""Probability that an example is given no plane of symmetry."""
PLANE_STD_DEG, WRONG_PLANE_STD_DEG, WRONG_PLANE_PROB, SWAPPED_ENDS_PROB = 8.0, 25.0, 0.2, 0.1
"""Errors of given planes: standard deviations of the azimuth, probabilities of the larger and of a flip."""
OFFSET_STD = 0.02
"""Standard deviation of the error of a given plane's foot, world units."""
SINGLE_VIEW_PROB, CLEAN_VIEWS_PROB = 0.65, 0.1
"""Probabilities of one view only, and of two to four true views; the rest has corrupted views."""
STALE_PROB, BLUR_PROB = 0.7, 0.6
"""Probabilities that corrupted views show the other pose, and that they are blurred."""
HOLE_SIZE = 12
"""Width and height of the holes in corrupted views, in pixels of a picture of IN_SIZE."""
HOLE_MARGIN = 16
"""How far from the right and lower border they begin at least, in the same pixels."""
MIRRORED_VIEWS = (0, 3, 2, 1)
"""The view that takes each view's place in the mirror image."""


@dataclass(frozen=True)
class ExampleBatch:
    """B training examples."""

    inputs: Tensor  # [B, C, 64, 64] of `encode`
    alpha: Tensor  # [B, 64, 64] of the reference view
    front_depth: Tensor  # [B, 64, 64] world units, 0 outside the object
    occupancy: Tensor  # [B, len(OCCUPANCY_OFFSETS), 64, 64] 0 or 1
    color_points: Tensor  # [B, P, 3] image coordinates in [-1, 1], and the distance behind the front
    colors: Tensor  # [B, P, 3] that other views see there
    color_mask: Tensor  # [B, P] 1 for valid colour targets, else 0

    def split(self, size: int) -> list[ExampleBatch]:
        """Split into batches of at most `size`."""
        parts = zip(*(getattr(self, field.name).split(size) for field in fields(self)), strict=True)
        return [ExampleBatch(*tensors) for tensors in parts]


@torch.no_grad()
def make_examples(batch: ViewBatch, random: torch.Generator) -> ExampleBatch:
    """Make one training example of each object.

    Args:
        batch: the objects' views.
        random: a generator on the views' device.
    """
    rng = BatchRng(len(batch.planes), batch.planes.device, random)
    rolls, mirror = rng.integers(VIEWS), rng.bernoulli(0.5)
    jitter = ColorJitter.random(rng)
    views, stale = (jitter(reorder_views(x, rolls, mirror)) for x in (batch.views, batch.other_pose))
    depth = reorder_views(batch.depth, rolls, mirror)
    kind = rng.uniform()
    view_mask = torch.zeros(rng.count, VIEWS, dtype=torch.bool, device=kind.device)
    clean = kind < CLEAN_VIEWS_PROB
    rendered = kind > CLEAN_VIEWS_PROB + SINGLE_VIEW_PROB  # as in stage 2: the frame, and renders of a guess
    order = rng.uniform(VIEWS - 1).argsort(1)
    used = order < 1 + rng.integers(VIEWS - 1)[:, None]
    view_mask[:, 1:] = (clean[:, None] & used) | rendered[:, None]
    view_mask[:, 0] = True
    others = torch.where(_per_row(rng.bernoulli(STALE_PROB), views), stale, views)[:, 1:]
    others = torch.where(_per_row(rendered, views), corrupt_views(others, rng), views[:, 1:])
    planes = normalize_planes(perturb_planes(reorder_planes(batch.planes, rolls, mirror), rng))
    planes = planes * ~rng.bernoulli(NO_PLANE_PROB)[:, None]
    planes = planes * batch.planes.any(1)[:, None]
    inputs = encode(torch.cat([views[:, :1], others], 1), view_mask, planes)
    alpha, front_depth, occupancy = ray_targets(views, depth)
    colors = color_targets(views, depth, front_depth, random)
    return ExampleBatch(inputs, alpha, front_depth, occupancy, *colors)


@dataclass(frozen=True)
class ColorJitter:
    """A random change of colours for each object: channels permuted, gamma and gain applied."""

    channels: Tensor  # [B, 3] source channel of red, green and blue
    gamma: Tensor  # [B]
    gain: Tensor  # [B]

    @staticmethod
    def random(rng: BatchRng) -> ColorJitter:
        """A random jitter for each row."""
        permuted = rng.uniform(3).argsort(1)
        identity = torch.arange(3, device=rng.device).expand_as(permuted)
        return ColorJitter(
            channels=torch.where(rng.bernoulli(0.4)[:, None], permuted, identity),
            gamma=(0.25 * rng.normal()).exp(),
            gain=0.8 + 0.35 * rng.uniform(),
        )

    def __call__(self, views: Tensor) -> Tensor:
        """Recolour premultiplied views [B, V, 4, S, S]."""
        alpha = views[:, :, 3:]
        straight = (views[:, :, :3] / alpha.clamp_min(1e-3)).clamp(0, 1)
        channels = self.channels[:, None, :, None, None].expand(-1, views.shape[1], -1, *views.shape[-2:])
        straight = straight.gather(2, channels)
        jittered = _per_row(self.gain, views) * straight ** _per_row(self.gamma, views)
        return torch.cat([jittered.clamp(0, 1) * alpha, alpha], 2)


def reorder_views(views: Tensor, rolls: Tensor, mirror: Tensor) -> Tensor:
    """Views [B, 4, ..., S] starting at view `rolls` [B]; where `mirror` [B], flipped with sides exchanged."""
    order = torch.arange(VIEWS, device=views.device)
    parts = torch.where(mirror[:, None], constant(MIRRORED_VIEWS, views.device), order)
    order = (rolls[:, None] + parts) % VIEWS
    rows = torch.arange(len(views), device=views.device)[:, None]
    result = views[rows, order]
    return torch.where(_per_row(mirror, result), result.flip(-1), result)


def reorder_planes(planes: Tensor, rolls: Tensor, mirror: Tensor) -> Tensor:
    """Planes [B, 4] as seen in the first of the views reordered by `reorder_views`."""
    c, s, x, z = planes.unbind(1)
    even, second = 1 - 2 * (rolls % 2), 1 - 2 * (rolls // 2)
    c, s = even * c, even * s
    # A quarter turn maps (x, z) to (-z, x).
    x, z = torch.where(rolls % 2 == 1, -z, x) * second, torch.where(rolls % 2 == 1, x, z) * second
    side = 1 - 2 * mirror.long()
    return torch.stack([c, side * s, side * x, z], 1)


def perturb_planes(planes: Tensor, rng: BatchRng) -> Tensor:
    """Planes [B, 4] with errors like the facing network's: in azimuth and foot, or ends swapped."""
    c, s = planes[:, 0], torch.where(rng.bernoulli(SWAPPED_ENDS_PROB), -planes[:, 1], planes[:, 1])
    error = torch.where(rng.bernoulli(WRONG_PLANE_PROB), WRONG_PLANE_STD_DEG, PLANE_STD_DEG) * rng.normal()
    a = 2 * torch.deg2rad(error)
    direction = torch.stack([c * a.cos() - s * a.sin(), c * a.sin() + s * a.cos()], 1)
    return torch.cat([direction, planes[:, 2:] + OFFSET_STD * rng.normal(2)], 1)


def corrupt_views(views: Tensor, rng: BatchRng) -> Tensor:
    """Views [B, V, 4, S, S] with the flaws of rendered guesses: stretched, shifted, blurred, with holes."""
    count, size = views.shape[1], views.shape[-1]
    theta = torch.zeros(rng.count, count, 2, 3, device=views.device)
    theta[..., 0, 0] = (0.15 * rng.normal(count)).exp()
    theta[..., 1, 1] = (0.02 * rng.normal(count)).exp()
    theta[..., 0, 2], theta[..., 1, 2] = 0.03 * rng.normal(count), 0.01 * rng.normal(count)
    flat = views.flatten(0, 1)
    grid = F.affine_grid(theta.flatten(0, 1), list(flat.shape), align_corners=False)
    result = F.grid_sample(flat, grid, align_corners=False).unflatten(0, (-1, count))
    result = torch.where(_per_row(rng.bernoulli(BLUR_PROB), result), blur(result, size // 4, rng), result)
    line = torch.arange(size, device=views.device)
    width, last = max(1, HOLE_SIZE * size // IN_SIZE), size - max(2, HOLE_MARGIN * size // IN_SIZE)
    holes = rng.integers(3)
    for hole in range(2):
        y, x, which = rng.integers(last), rng.integers(last), rng.integers(count)
        rows, columns = ((line >= start[:, None]) & (line < start[:, None] + width) for start in (y, x))
        inside = rows[:, :, None] & columns[:, None, :] & (holes > hole)[:, None, None]
        chosen_view = torch.arange(count, device=views.device) == which[:, None]
        inside = inside[:, None, None] & chosen_view[:, :, None, None, None]
        result = torch.where(inside, result * _per_row(0.6 * rng.uniform(), result), result)
    return result


def blur(views: Tensor, smallest: int, rng: BatchRng) -> Tensor:
    """Shrink views [B, ..., S, S] to one random size of at least `smallest` and enlarge them again."""
    size = int(torch.randint(smallest, views.shape[-1], (), generator=rng.generator, device=rng.device))
    flat = views.reshape(-1, *views.shape[-3:])
    small = F.interpolate(flat, size=(size, size), mode="area")
    return F.interpolate(small, size=views.shape[-2:], mode="bilinear").view_as(views)


def ray_targets(views: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Targets along the reference view's rays, from the depth maps of all views.

    There is matter where every other view sees the object at that depth or nearer.

    Args:
        views: [B, 4, 4, S, S] premultiplied.
        depth: [B, 4, S, S] world units, 0 outside the object.

    Returns:
        Alpha and front depth [B, 64, 64], and occupancy [B, len(OCCUPANCY_OFFSETS), 64, 64].
    """
    factor = IN_SIZE // OUT_SIZE
    alpha = F.avg_pool2d(views[:, 0, 3:], factor)[:, 0]
    nearest = -F.max_pool2d(-torch.where(depth[:, :1] > 0, depth[:, :1], torch.inf), factor)[:, 0]
    front_depth = torch.where(torch.isfinite(nearest), nearest, 0)
    mask = (front_depth > 0) & (alpha > 0.3)
    origins, directions = rays(OUT_SIZE, views.device)
    offsets = constant(OCCUPANCY_OFFSETS, views.device)
    distances = front_depth[:, None] + offsets[:, None, None]
    points = origins[0] + directions[0] * distances[..., None]  # [B, bins, H, W, 3]
    inside = mask[:, None].expand(-1, len(OCCUPANCY_OFFSETS), -1, -1)
    for view in range(1, VIEWS):
        places, point_depth = project(points, view)
        seen = _sample(views[:, view, 3:], places)[:, 0]
        surface = _sample(depth[:, view, None], places, "nearest")[:, 0]
        inside = inside & (seen > 0.5) & (point_depth > surface - SKIN)
    return alpha, front_depth * mask, inside.float()


def color_targets(
    views: Tensor, depth: Tensor, front_depth: Tensor, random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Colours that the other views see, located behind the reference view's pixels.

    Returns:
        `color_points`, `colors` and `color_mask` of `ExampleBatch`.
    """
    origins, directions = rays(IN_SIZE, views.device)
    opaque = ((depth[:, 1:] > 0) & (views[:, 1:, 3] > 0.99)).flatten(2)  # [B, 3, S²]
    odds = torch.where(opaque.any(2, keepdim=True), opaque, True).float()
    chosen = torch.multinomial(odds.flatten(0, 1), COLOR_POINTS, replacement=True, generator=random)
    chosen = chosen.view(len(views), VIEWS - 1, COLOR_POINTS)
    valid = opaque.gather(2, chosen)
    chosen_depth = depth[:, 1:].flatten(2).gather(2, chosen)
    others = torch.arange(VIEWS - 1, device=views.device)[:, None]
    ray_directions = directions[1:].flatten(1, 2)[others, chosen]
    points = (origins[1:, 0] + ray_directions * chosen_depth[..., None]).flatten(1, 2)  # [B, P, 3]
    colors = views[:, 1:, :3].flatten(3).transpose(2, 3)
    colors = colors.gather(2, chosen[..., None].expand(-1, -1, -1, 3)).flatten(1, 2)
    places, point_depth = project(points, 0)
    front = _sample(front_depth[:, None], places, "nearest")[:, 0]
    mask = valid.flatten(1) & (front > 0) & (point_depth > front - SKIN)
    behind = (point_depth - front).clamp_min(0)[..., None]
    return torch.cat([places, behind], -1), colors, mask.float()


def _sample(images: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """Samples [B, C, ...] of images [B, C, H, W] at image coordinates [B, ..., 2] in [-1, 1]; 0 outside."""
    grid = places.reshape(len(places), 1, -1, 2)
    found = F.grid_sample(images, grid, mode=mode, align_corners=False)[:, :, 0]
    return found.unflatten(-1, places.shape[1:-1])


def _per_row(values: Tensor, like: Tensor) -> Tensor:
    """One value per row [B], shaped to broadcast with `like` [B, ...]."""
    return values.view(-1, *(1,) * (like.ndim - 1))
