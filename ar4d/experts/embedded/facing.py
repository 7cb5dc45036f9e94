"""Finds the plane of symmetry of a pictured object: which way the object faces.

A single view is usually ambiguous about which end is nearer, and averaging the two hypotheses gives a third,
wrong one. Azimuths therefore compete in a classifier, in steps of 5 degrees, and each comes with the offset
of its plane. The frames of a clip are combined by a hidden Markov model over the azimuth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.embedded.crops import crop_to_object
from ar4d.experts.embedded.network import (
    GROUPS,
    OUT_SIZE,
    PICTURE_CHANNELS,
    Encoder,
    NetworkConfig,
    encode_picture,
)
from ar4d.experts.embedded.symmetry import normalize_planes, upright_plane

AZIMUTHS_DEG = tuple(5.0 * k - 90 for k in range(36))
"""Azimuths that the network scores; a plane is the same after half a turn."""
OFFSET_UNIT = 0.1
"""World units of a predicted offset of 1."""
HEAD_CHANNELS = 16
"""Channels per position from which the answer is read."""


@dataclass(frozen=True)
class FacingConfig:
    """Constants of the inference that follows the network."""

    num_candidates: int = 3
    """Planes that `top_planes` returns."""
    sharpening_power: float = 2.0
    """Power to which the candidates' probabilities are raised: a mean of unlike planes is no plane."""
    merge_steps: int = 2
    """Azimuth steps to either side of a candidate that count as the same answer."""
    report_steps: int = 4
    """Azimuth steps to either side that the reported probability covers (22.5 degrees)."""
    thumbnail_size: int = 32
    """Width in pixels of the thumbnails by which a clip's frame is recognised."""
    frame_weight: float = 0.5
    """Weight of a frame's log evidence among others: errors of similar frames are correlated."""
    max_effective_frames: int = 6
    """Frames whose evidence adds up, at most; others are too far away in time."""
    rates_deg: tuple[float, ...] = (-9.0, -7.0, -5.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 9.0)
    """Turning rates of the motion model, in degrees per frame."""
    rate_std_deg: float = 2.0
    """Standard deviation of the rates' normal prior."""
    turn_std_deg: float = 3.0
    """Standard deviation of the turn from frame to frame about a rate."""
    outlier_prob: float = 1e-4
    """Added to every transition's unnormalised weight, whose maximum is 1."""
    hint_half_width_deg: float = 22.5
    """Half the range of azimuths that a user's hint covers."""
    hint_edge_std_deg: float = 3.0
    """Standard deviation of the normal fall-off beyond that range."""


DEFAULT_CONFIG = FacingConfig()


class FacingNetwork(Encoder):
    """A network from crops, encoded by `encode_picture`, to a logit and an offset for every azimuth."""

    def __init__(self) -> None:
        config = NetworkConfig()
        super().__init__(4 * PICTURE_CHANNELS, config)
        c8 = config.widths[-1]
        self.head = nn.Sequential(
            nn.GroupNorm(GROUPS, c8),
            nn.Conv2d(c8, HEAD_CHANNELS, 1),
            nn.Flatten(),
            nn.Linear(HEAD_CHANNELS * (OUT_SIZE // 8) ** 2, c8),
            nn.SiLU(),
            nn.Linear(c8, 2 * len(AZIMUTHS_DEG)),
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and offsets [B, 36] of encoded crops [B, 4 PICTURE_CHANNELS, OUT_SIZE, OUT_SIZE]."""
        x = pictures.contiguous(memory_format=torch.channels_last)
        h32 = self.in32(self.down32(F.silu(self.stem(x))))
        h8 = self.in8(F.avg_pool2d(self.in16(F.avg_pool2d(h32, 2)), 2))
        logits, offsets = self.head(self.middle(h8)).float().chunk(2, 1)
        return logits, offsets


class PlaneFinder(Protocol):
    """Finds the planes of symmetry of a pictured object."""

    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Find candidate planes.

        Args:
            picture: [4, S, S] premultiplied.

        Returns:
            Planes [K, 4], the likeliest first, 0 for none, and their weights [K], which sum to 1.
        """
        ...

    def with_clip(
        self, pictures: Iterable[Tensor], facing_deg: float | None = None, stride: int = 1
    ) -> PlaneFinder:
        """The same finder, informed by a clip.

        Args:
            pictures: F pictures [4, S, S], premultiplied.
            facing_deg: azimuth towards which the object looks in the first frame, as hinted by the user.
            stride: from one picture that is looked at to the next.
        """
        ...

    @property
    def facing_estimate(self) -> tuple[float, float] | None:
        """Azimuth in degrees in the clip's first frame and its probability; None without a clip."""
        ...


@dataclass(frozen=True)
class KnownPlane:
    """A `PlaneFinder` that always returns the same plane."""

    plane: Tensor  # [4]

    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return the plane [1, 4] with weight 1."""
        return self.plane[None], torch.ones(1)

    def with_clip(
        self, pictures: Iterable[Tensor], facing_deg: float | None = None, stride: int = 1
    ) -> KnownPlane:
        """Return this finder: a clip adds nothing."""
        return self

    @property
    def facing_estimate(self) -> None:
        """None: nothing is estimated."""


@dataclass(frozen=True)
class ClipEvidence:
    """What the frames of a clip, taken together, say about each of them."""

    thumbnails: Tensor  # [F, 4, S, S] premultiplied
    logits: Tensor  # [F, 36] log probabilities after smoothing
    offsets: Tensor  # [F, 36] in OFFSET_UNIT
    num_looked_at: int


@dataclass(frozen=True)
class NetworkPlaneFinder:
    """A `PlaneFinder` by a trained network."""

    network: FacingNetwork
    clip: ClipEvidence | None = None
    config: FacingConfig = DEFAULT_CONFIG

    @torch.no_grad()
    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Candidate planes of the picture, or, given a clip, of its most similar frame."""
        if self.clip is None:
            logits, offsets = self._predict(picture)
            return top_planes(logits[0], offsets[0], self.config)
        distances = (self.clip.thumbnails - self._thumbnails(picture[None])).square().sum((1, 2, 3))
        frame = int(distances.argmin())
        return top_planes(self.clip.logits[frame], self.clip.offsets[frame], self.config)

    @torch.no_grad()
    def with_clip(
        self, pictures: Iterable[Tensor], facing_deg: float | None = None, stride: int = 1
    ) -> NetworkPlaneFinder:
        """See `PlaneFinder.with_clip`. A picture that is not looked at says nothing: all its logits are 0."""
        thumbnails, logits, offsets = [], [], []
        for k, picture in enumerate(pictures):
            thumbnails.append(self._thumbnails(picture[None]))
            if k % stride == 0:
                said, offset = self._predict(picture)
            else:
                said, offset = torch.zeros_like(logits[-1]), offsets[-1]
            logits.append(said)
            offsets.append(offset)
        smoothed = smooth_over_clip(torch.cat(logits), facing_deg, self.config)
        looked_at = len(range(0, len(logits), stride))
        evidence = ClipEvidence(torch.cat(thumbnails), smoothed, torch.cat(offsets), looked_at)
        return replace(self, clip=evidence)

    @property
    def facing_estimate(self) -> tuple[float, float] | None:
        """See `PlaneFinder.facing_estimate`."""
        if self.clip is None:
            return None
        return estimate_facing(self.clip.logits[0], self.clip.num_looked_at, self.config)

    def _predict(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and offsets [1, 36] of one picture."""
        crops = crop_to_object(picture[None])
        logits, offsets = self.network(encode_picture(crops.pictures))
        return crops.predictions_to_full(logits, offsets, OFFSET_UNIT)

    def _thumbnails(self, pictures: Tensor) -> Tensor:
        size = self.config.thumbnail_size
        return F.interpolate(pictures, size=(size, size), mode="area")


def smooth_over_clip(
    logits: Tensor, facing_deg: float | None = None, config: FacingConfig = DEFAULT_CONFIG
) -> Tensor:
    """Smooth the azimuths of all frames by the forward–backward algorithm on a hidden Markov model.

    The hidden state is the azimuth; each turning rate gives one chain whose transitions are normal about that
    rate. The marginals are averaged over the rates, weighted by each chain's evidence and prior. Errors of
    similar frames are correlated, so each frame's log evidence is scaled by `frame_weight`.
    `tests/experts/embedded/test_facing.py` compares the result with the sum over all paths.

    Args:
        logits: [F, 36] of the frames.
        facing_deg: azimuth of the first frame, as hinted by the user. It applies to later frames as far as
            the object turns at the chain's rate.
        config: constants of the model.

    Returns:
        Log probabilities [F, 36].
    """
    steps = torch.tensor(AZIMUTHS_DEG, dtype=torch.float64)
    rates = torch.tensor(config.rates_deg, dtype=torch.float64)[:, None]
    emission = (config.frame_weight if len(logits) > 1 else 1.0) * logits.double()[:, None]  # [F, 1, 36]
    if facing_deg is not None:
        frames = torch.arange(len(logits))[:, None, None]
        away = _difference_deg(steps, facing_deg + rates * frames).abs()
        beyond = (away - config.hint_half_width_deg).clamp_min(0)
        emission = emission - 0.5 * (beyond / config.hint_edge_std_deg).square()
    emission = (emission - emission.amax((1, 2), keepdim=True)).exp()
    away = _difference_deg(steps[:, None] + rates[:, None], steps)  # [R, 36, 36], from row to column
    transition = torch.exp(-0.5 * (away / config.turn_std_deg).square()) + config.outlier_prob
    transition = F.normalize(transition, p=1, dim=2)
    evidence = -0.5 * (rates[:, 0] / config.rate_std_deg).square()
    forward, backward = [emission[0].expand(len(rates), -1)], [torch.ones(len(rates), len(steps)).double()]
    for current in emission[1:]:
        reached = current * torch.einsum("ra,rab->rb", forward[-1], transition)
        evidence = evidence + reached.sum(1).log()
        forward.append(F.normalize(reached, p=1, dim=1))
    for later in emission[1:].flip(0):
        message = torch.einsum("rab,rb->ra", transition, later * backward[-1])
        backward.append(F.normalize(message, p=1, dim=1))
    marginals = F.normalize(torch.stack(forward) * torch.stack(backward[::-1]), p=1, dim=2)  # [F, R, 36]
    mean = torch.einsum("r,fra->fa", evidence.softmax(0), marginals)
    return mean.clamp_min(1e-9).log().to(logits.dtype)


def _difference_deg(azimuths: Tensor, other: Tensor | float) -> Tensor:
    """Signed differences in [-90, 90) degrees between planes that face these azimuths."""
    return (azimuths - other + 90).remainder(180) - 90


def top_planes(
    logits: Tensor, offsets: Tensor, config: FacingConfig = DEFAULT_CONFIG
) -> tuple[Tensor, Tensor]:
    """The likeliest planes, and the hypothesis that none of them is right.

    Args:
        logits: [36] of the azimuths.
        offsets: [36] of their planes, in OFFSET_UNIT.
        config: the number of candidates K, and how they are merged and sharpened.

    Returns:
        Planes [K + 1, 4], the last one 0 (none), and weights [K + 1], which sum to 1: each candidate's
        probability, and for the last one that of all other azimuths, to the power `sharpening_power`.
    """
    count, reach = len(logits), config.merge_steps
    left = logits.softmax(0)
    planes, probabilities = [], []
    for _ in range(config.num_candidates):
        merged = _windowed_sum(left, reach)
        best = int(merged.argmax())
        near = [(best + k) % count for k in range(-reach, reach + 1)]
        nearby = torch.tensor([upright_plane(AZIMUTHS_DEG[k], OFFSET_UNIT * float(offsets[k])) for k in near])
        planes.append((left[near, None] * nearby).sum(0))
        probabilities.append(merged[best])
        left = left.index_fill(0, torch.tensor(near), 0.0)
    probabilities = torch.stack(probabilities)
    rest = (1 - probabilities.sum()).clamp_min(0)[None]
    weights = torch.cat([probabilities, rest]) ** config.sharpening_power
    return F.pad(normalize_planes(torch.stack(planes)), (0, 0, 0, 1)), weights / weights.sum()


def estimate_facing(
    logits: Tensor, num_frames: int, config: FacingConfig = DEFAULT_CONFIG
) -> tuple[float, float]:
    """The likeliest azimuth in degrees, and the probability that it is right within 22.5 degrees.

    The sum over correlated frames remains the best choice of azimuth but overstates its certainty, so the
    reported probability is that of one frame's worth of evidence.

    Args:
        logits: [36] of `smooth_over_clip` for one frame.
        num_frames: of the clip.
        config: constants of the model.
    """
    best = int(_windowed_sum(logits.softmax(0), config.merge_steps).argmax())
    effective = max(1.0, config.frame_weight * min(num_frames, config.max_effective_frames))
    within = _windowed_sum((logits / effective).softmax(0), config.report_steps)
    return AZIMUTHS_DEG[best], float(within[best])


def _windowed_sum(probabilities: Tensor, steps: int) -> Tensor:
    """Circular sums [36] of each azimuth's probability and those up to `steps` to either side."""
    return torch.stack([probabilities.roll(k) for k in range(-steps, steps + 1)]).sum(0)


def angle_between_deg(planes: Tensor, others: Tensor) -> Tensor:
    """Angles in [0, 90] degrees between planes [..., 4]."""
    cosine = (F.normalize(planes[..., :2], dim=-1) * F.normalize(others[..., :2], dim=-1)).sum(-1)
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))) / 2
