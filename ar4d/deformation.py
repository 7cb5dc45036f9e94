"""Deformation fields: how one set of Gaussians becomes the next (Eq. 3) or any other (Eq. 9).

A field maps Gaussians to moved Gaussians and offsets: δμ is applied to the means, δα and δs are
handed back for logit-opacities and log-scales. Every field's last layer (or table) starts at zero,
so the first step renders exactly the Gaussians that went in.

- `GaussianField`, the paper's: an MLP asked for each Gaussian.
- `NodeField`: offsets live at a few hundred control nodes and are blended to the Gaussians
  (`blending.py`). A node also carries a rotation, which turns its Gaussians about it. The nodes'
  offsets come from the same MLP, or are free parameters.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import KDTree
from torch import Tensor, nn

from ar4d.blending import blend
from ar4d.gaussians import rotation_matrices
from ar4d.settings import FieldSettings

MANY = 8192  # rows
ROWS = 2048  # of a table of distances that are computed at once
OFFSETS = 4  # δ of the logit-opacity, then of the three log-scales
COLORS = 3  # δ of the colours, or of their logits, where a field has them

Time = float | Tensor
"""In [0, 1]. A tensor [] is read on its device alone, as CUDA graphs need it; it is a keyframe's time."""


class DeformationField(nn.Module, ABC):
    """What all fields have in common."""

    @abstractmethod
    def forward(self, means: Tensor, quats: Tensor, t: Time = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        """Moves Gaussians.

        Args:
            means: [N, 3].
            quats: [N, 4] wxyz.
            t: time in [0, 1]; fields of one frame pair ignore it.

        Returns:
            Means [N, 3], quats [N, 4] (not normalised) and the offsets [N, 4 or 7] of the logit-opacity,
            the three log-scales and, where the field moves them, the three colours.
        """


def positional_encoding(x: Tensor, frequencies: int) -> Tensor:
    """γ of Eq. 4: (sin 2⁰x, cos 2⁰x, …, sin 2^{L-1}x, cos 2^{L-1}x) of every component.

    Args:
        x: [..., D]; Eq. 4 has neither a factor π nor x itself.
        frequencies: L.

    Returns:
        [..., 2 L D].

    Locked by `test_encoding_by_hand` (tests/test_deformation.py).
    """
    scaled = x[..., None, :] * 2.0 ** torch.arange(frequencies, dtype=x.dtype, device=x.device)[:, None]
    return torch.cat([scaled.sin(), scaled.cos()], dim=-1).flatten(-2)


class DeformationMLP(nn.Module):
    """The network F_θ: ReLU layers with the input once more after the middle one, zero output at first."""

    def __init__(self, inputs: int, outputs: int, width: int, depth: int) -> None:
        super().__init__()
        self.skip = depth // 2 + 1 if depth > 4 else depth  # only deep networks need the reminder
        sizes = [inputs] + [width] * (depth - 1)
        layers = [nn.Linear(size + (inputs if i == self.skip else 0), width) for i, size in enumerate(sizes)]
        for layer in layers:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.hidden = nn.ModuleList(layers)
        self.out = nn.Linear(width, outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Uses bfloat16 on CUDA for large batches (at least MANY rows), except in the output layer.

        Smaller batches gain no time by it. Each weight is used once, so its cast is not worth keeping (and a
        CUDA graph could not keep it).
        """
        h, wide = x, x.is_cuda and len(x) >= MANY
        with torch.autocast(x.device.type, torch.bfloat16, enabled=wide, cache_enabled=False):
            for i, layer in enumerate(self.hidden):
                h = F.relu(layer(torch.cat([h, x.to(h.dtype)], -1) if i == self.skip else h))
        return self.out(h.float())


class GaussianField(DeformationField):
    """{δμ, δα, δs} = F_θ(γ(μ)) for every Gaussian (Eq. 3), or F_θ(γ(μ), γ(t)) (Eq. 9).

    Locked by `test_a_gaussians_offsets_are_the_network_of_its_encoded_place_and_time` and
    `test_no_gradient_takes_the_way_through_the_encoding` (tests/test_deformation.py).
    """

    def __init__(self, settings: FieldSettings, timed: bool) -> None:
        super().__init__()
        self.settings, self.timed = settings, timed
        outputs = 3 + _num_offsets(settings)
        self.net = DeformationMLP(_encoded_size(settings, timed), outputs, settings.width, settings.depth)

    def forward(self, means: Tensor, quats: Tensor, t: Time = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        # The position is a coordinate here, not a path for gradients: through γ they would be 2^9 too large.
        offsets = self.net(_encode(means.detach(), t, self.settings, self.timed))
        return means + offsets[:, :3], quats, offsets[:, 3:]


class NodeField(DeformationField):
    """Offsets at control nodes, blended to the Gaussians by fixed weights.

    A node's ten numbers: translation 3, rotation 3 (the quaternion (1, r), normalised), δα 1, δs 3; three
    more where colours move. What a Gaussian is not free to do, its nodes' δα, δs and δc do not make it do.
    """

    nodes: Tensor  # [M, 3]
    indices: Tensor  # [N, K] int32
    weights: Tensor  # [N, K], each row sums to 1
    freedom: Tensor | None  # [N] in [0, 1], factor of the offsets δα, δs and δc; None: 1

    def __init__(
        self,
        settings: FieldSettings,
        paths: Tensor,
        timed: bool,
        freedom: Tensor | None = None,
        canonical: int = 0,
    ) -> None:
        """Places the nodes among the Gaussians.

        Args:
            paths: [F, N, 3] means in each frame. A timed table has one keyframe for each.
            freedom: [N] in [0, 1]; None: every Gaussian follows its nodes in all.
            canonical: index of the frame whose means the field deforms.
        """
        super().__init__()
        self.settings, self.timed = settings, timed
        paths = paths.detach()
        chosen = farthest_points(paths[canonical], settings.nodes)
        nodes = paths[canonical, chosen].clone()
        indices, weights = blend_weights(paths, paths[:, chosen], settings.neighbours)
        self.register_buffer("nodes", nodes)
        self.register_buffer("indices", indices)
        self.register_buffer("weights", weights)
        self.register_buffer("freedom", freedom)
        columns = 6 + _num_offsets(settings)
        if settings.kind == "node-table":
            frames = len(paths) if timed else 1
            self.table = nn.Parameter(torch.zeros(frames, len(nodes), columns, device=paths.device))
        else:
            size = _encoded_size(settings, timed)
            self.net = DeformationMLP(size, columns, settings.width, settings.depth)

    def at_nodes(self, t: Time) -> Tensor:
        """[M, 10 or 13] offsets of the nodes at time `t`."""
        if self.settings.kind == "node-table":
            if not self.timed:
                return self.table[0]
            return keyframe_at(self.table, t) if isinstance(t, Tensor) else spline(self.table, t)
        return self.net(_encode(self.nodes, t, self.settings, self.timed))

    def mean_at_nodes(self, values: Tensor) -> Tensor:
        """[M, …] means over the Gaussians that follow each node of what they have, [N, …], by weight."""
        nodes, weights = self.indices.long().flatten(), self.weights.flatten()[:, None]
        total = weights.new_zeros(len(self.nodes), 1).index_add_(0, nodes, weights).clamp_min(1e-6)
        each = values.repeat_interleave(self.indices.shape[1], dim=0)
        return values.new_zeros(len(self.nodes), values.shape[1]).index_add_(0, nodes, weights * each) / total

    def select(self, keep: Tensor) -> NodeField:
        """The field for the Gaussians where the mask `keep` [N] is true; the nodes stay as they are."""
        field = copy.deepcopy(self)
        field.indices, field.weights = self.indices[keep].contiguous(), self.weights[keep].contiguous()
        field.freedom = None if self.freedom is None else self.freedom[keep]
        return field

    def color_offsets(self, t: Time) -> Tensor:
        """[M, 3] of the nodes at time `t`; [M, 0] where the field moves no colours."""
        return self.at_nodes(t)[:, 6 + OFFSETS :]

    def forward(self, means: Tensor, quats: Tensor, t: Time = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        offsets = self.at_nodes(t)
        turns = F.normalize(F.pad(offsets[:, 3:6], (1, 0), value=1.0), dim=-1)
        means, quats, extras = blend(
            rotations=rotation_matrices(turns),
            quats=turns,
            translations=offsets[:, :3],
            extras=offsets[:, 6:],
            nodes=self.nodes,
            indices=self.indices,
            weights=self.weights,
            means=means,
            gaussian_quats=quats,
        )
        return means, quats, extras if self.freedom is None else extras * self.freedom[:, None]


def local_field(settings: FieldSettings, means: Tensor, freedom: Tensor | None = None) -> DeformationField:
    """A fresh field for one frame pair (Eq. 3)."""
    if settings.kind == "mlp":
        return GaussianField(settings, timed=False).to(means.device)
    return NodeField(settings, means[None], timed=False, freedom=freedom).to(means.device)


def global_field(
    settings: FieldSettings, paths: Tensor, freedom: Tensor | None = None, canonical: int = 0
) -> DeformationField:
    """A fresh field over the whole clip (Eq. 9); `paths` [F, N, 3] are the means that stage 2 found.

    It deforms the means of the frame `canonical`.
    """
    if settings.kind == "mlp":
        return GaussianField(settings, timed=True).to(paths.device)
    return NodeField(settings, paths, timed=True, freedom=freedom, canonical=canonical).to(paths.device)


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Indices [min(count, N)] of points that are far from one another, the first point among them."""
    count, x = min(count, len(points)), points.detach()
    if not x.is_cuda:
        from ar4d.kernels import sampling

        chosen = torch.zeros(count, dtype=torch.long)
        sampling.farthest_points(x.float().contiguous().numpy(), chosen.numpy())
        return chosen
    chosen = torch.zeros(count, dtype=torch.long, device=x.device)
    distance = torch.full((len(x),), math.inf, device=x.device)
    for i in range(1, count):
        distance = torch.minimum(distance, (x - x[chosen[i - 1]]).square().sum(-1))
        chosen[i] = distance.argmax()
    return chosen


def blend_weights(means: Tensor, nodes: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """Which nodes move a Gaussian, and how much.

    A node's influence falls off as a Gaussian of the distance, with the mean distance to its own
    three nearest nodes as its width. Distances are root mean squares over the frames, so that an arm
    that rests against the body in one frame and leaves it in another is not moved by the body's nodes.

    Args:
        means: [F, N, 3] of the Gaussians in F frames.
        nodes: [F, M, 3] of the nodes.

    Returns:
        Indices [N, K] int32 and weights [N, K] that sum to 1, for the K nearest nodes.
    """
    neighbours = min(neighbours, nodes.shape[1])
    distances, indices = _nearest(means, nodes, neighbours)
    spacing = _nearest(nodes, nodes, min(4, nodes.shape[1]))[0][:, 1:]
    width = spacing.mean(-1).clamp_min(1e-6) if spacing.shape[1] else torch.ones_like(nodes[0, :, 0])
    weights = torch.softmax(-distances.square() / (2 * width[indices].square()), dim=-1)
    return indices.to(torch.int32).contiguous(), weights.contiguous()


def _nearest(a: Tensor, b: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """[N, count] distances and indices of the nearest of [F, M, 3] for each of [F, N, 3], nearest first."""
    if len(a) > 1 or a.is_cuda:
        found = [_mean_distances(rows, b).topk(count, largest=False) for rows in a.split(ROWS, dim=1)]
        distances, indices = (torch.cat(parts) for parts in zip(*found, strict=True))
        return distances, indices
    found = KDTree(b[0].numpy()).query(a[0].numpy(), k=count)
    distances, indices = (torch.from_numpy(np.reshape(x, (-1, count))) for x in found)
    return distances.to(a.dtype), indices


def _mean_distances(a: Tensor, b: Tensor) -> Tensor:
    """[N, M] root mean square over F frames of the distances between [F, N, 3] and [F, M, 3]."""
    total = a.new_zeros(a.shape[1], b.shape[1])
    for x, y in zip(a, b, strict=True):
        total += torch.cdist(x, y).square()
    return (total / len(a)).sqrt()


def spline(keyframes: Tensor, t: float) -> Tensor:
    """A smooth curve through keyframes at equal steps of t in [0, 1] (Catmull-Rom, C¹).

    Args:
        keyframes: [F, ...]; passed through exactly at t = k / (F - 1).
    """
    last = keyframes.shape[0] - 1
    position = min(max(t, 0.0), 1.0) * last
    k = round(position)
    if abs(position - k) < 1e-6:
        return keyframes[k]
    k = int(position)
    u, a, b = position - k, keyframes[k], keyframes[k + 1]
    slope_a = (b - keyframes[k - 1]) / 2 if k > 0 else b - a
    slope_b = (keyframes[k + 2] - a) / 2 if k + 2 <= last else b - a
    return (
        (2 * u**3 - 3 * u**2 + 1) * a
        + (u**3 - 2 * u**2 + u) * slope_a
        + (3 * u**2 - 2 * u**3) * b
        + (u**3 - u**2) * slope_b
    )


def keyframe_at(keyframes: Tensor, t: Tensor) -> Tensor:
    """The keyframe [...] of [F, ...] that is nearest to the time `t` []; nothing leaves the device."""
    place = (t * (len(keyframes) - 1)).round().long()
    return keyframes.index_select(0, place.view(1))[0]


def _num_offsets(settings: FieldSettings) -> int:
    return OFFSETS + (COLORS if settings.colors else 0)


def _encoded_size(settings: FieldSettings, timed: bool) -> int:
    return 6 * settings.frequencies + (2 * settings.time_frequencies if timed else 0)


def _encode(points: Tensor, t: Time, settings: FieldSettings, timed: bool) -> Tensor:
    code = positional_encoding(points, settings.frequencies)
    if not timed:
        return code
    moment = torch.as_tensor(t, dtype=points.dtype, device=points.device).view(1)
    time = positional_encoding(moment, settings.time_frequencies)
    return torch.cat([code, time.expand(len(points), -1)], dim=-1)
