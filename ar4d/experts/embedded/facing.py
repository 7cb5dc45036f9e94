"""Finds the plane of symmetry of what a picture shows: which way the object faces.

One picture leaves it open, more often than not, which end of an object is the nearer one: a mean of
two such guesses would be a third thing. So the azimuths compete, in steps of 5 degrees, and each
says where its plane would lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.embedded.closeup import close_ups
from ar4d.experts.embedded.network import (
    GROUPS,
    OUT_SIZE,
    PICTURE_CHANNELS,
    Encoder,
    NetworkConfig,
    encode_picture,
)
from ar4d.experts.embedded.symmetry import proper, upright_plane

AZIMUTHS_DEG = tuple(5.0 * k - 90 for k in range(36))  # a plane is the same after half a turn
OFFSET_UNIT = 0.1  # world units
PLACED = 16  # channels that the answer is read from, place by place
CANDIDATES = 3
DECIDED = 2.0  # power of the chances: a mean of planes that differ is nobody's shape
THUMBNAIL = 32  # pixels
WEIGHT = 0.5  # of a frame among others
ALIKE = 6  # frames whose evidence adds up, at most: others are too far away in time
RATES_DEG = (-9.0, -7.0, -5.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 9.0)  # a frame
USUAL_RATE_DEG = 2.0  # at which an object turns, either way
TURN_DEG = 3.0  # by which it turns more or less than that from frame to frame
WORD_DEG = 22.5  # half of what a word for the first frame covers
BESIDE_WORD_DEG = 3.0  # and how sharply it ends
LOST = 1e-4  # of another azimuth altogether, as a share of the same
AROUND = 2  # steps to either side of the best that count as the same answer
IN_A_WORD = 4  # steps to either side that are the same in words


class FacingNetwork(Encoder):
    """Input: `encode_picture` of close-ups. Output: of each azimuth a logit and an offset in OFFSET_UNIT."""

    def __init__(self) -> None:
        config = NetworkConfig()
        super().__init__(4 * PICTURE_CHANNELS, config)
        c8 = config.widths[-1]
        self.head = nn.Sequential(
            nn.GroupNorm(GROUPS, c8),
            nn.Conv2d(c8, PLACED, 1),
            nn.Flatten(),
            nn.Linear(PLACED * (OUT_SIZE // 8) ** 2, c8),
            nn.SiLU(),
            nn.Linear(c8, 2 * len(AZIMUTHS_DEG)),
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        x = pictures.contiguous(memory_format=torch.channels_last)
        h32 = self.in32(self.down32(F.silu(self.stem(x))))
        h8 = self.in8(F.avg_pool2d(self.in16(F.avg_pool2d(h32, 2)), 2))
        logits, offsets = self.head(self.middle(h8)).float().chunk(2, 1)
        return logits, offsets


class Finder(Protocol):
    """Tells the planes of symmetry of what a picture shows."""

    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Planes [K, 4], the likeliest first, 0 for none; and how much each counts [K]; that adds up to 1.

        Args:
            picture: [4, S, S] premultiplied.
        """
        ...

    def with_clip(self, pictures: Tensor, facing_deg: float | None = None) -> Finder:
        """The same, having seen a clip of such pictures [F, 4, S, S]; see `ClipAware`."""
        ...

    @property
    def facing(self) -> tuple[float, float] | None:
        """As `ClipAware.facing_estimate`."""
        ...


@dataclass(frozen=True)
class KnownPlane:
    """Somebody knows the plane."""

    plane: Tensor  # [4]

    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        return self.plane[None], torch.ones(1)

    def with_clip(self, pictures: Tensor, facing_deg: float | None = None) -> KnownPlane:
        return self

    @property
    def facing(self) -> None:
        """Nothing that was seen."""


@dataclass(frozen=True)
class SeenClip:
    """What the frames of a clip, taken together, tell of each of them."""

    thumbnails: Tensor  # [F, 4, THUMBNAIL, THUMBNAIL] by which a frame is known again
    logits: Tensor  # [F, 36]
    offsets: Tensor  # [F, 36]


@dataclass(frozen=True)
class PlaneFinder:
    """`Finder` by a trained network."""

    network: FacingNetwork
    clip: SeenClip | None = None

    @torch.no_grad()
    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Having watched a clip, it answers for the frame that the picture looks most like."""
        if self.clip is None:
            logits, offsets = self._looked_at(picture)
            return likely_planes(logits[0], offsets[0])
        away = (self.clip.thumbnails - _thumbnails(picture[None])).square().sum((1, 2, 3))
        frame = int(away.argmin())
        return likely_planes(self.clip.logits[frame], self.clip.offsets[frame])

    @torch.no_grad()
    def with_clip(self, pictures: Tensor, facing_deg: float | None = None) -> PlaneFinder:
        told = [self._looked_at(picture) for picture in pictures]
        logits, offsets = (torch.cat(parts) for parts in zip(*told, strict=True))
        steadied = steadied_by_others(logits, facing_deg)
        return replace(self, clip=SeenClip(_thumbnails(pictures), steadied, offsets))

    @property
    def facing(self) -> tuple[float, float] | None:
        if self.clip is None:
            return None
        return facing_and_chance(self.clip.logits[0], len(self.clip.logits))

    def _looked_at(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and offsets [1, 36] of one picture."""
        near = close_ups(picture[None])
        logits, offsets = self.network(encode_picture(near.pictures))
        return near.of_whole(logits, offsets, OFFSET_UNIT)


def _thumbnails(pictures: Tensor) -> Tensor:
    return F.interpolate(pictures, size=(THUMBNAIL, THUMBNAIL), mode="area")


def steadied_by_others(logits: Tensor, facing_deg: float | None = None) -> Tensor:
    """Log chances [F, 36] of each frame's azimuths, given all frames' logits [F, 36].

    Forward and backward through a chain in which the object turns at a steady rate, or nearly so; the
    rates count as much as the frames speak for them. Errors of frames that look alike are alike, so
    that each frame counts for less than one alone would.

    Args:
        facing_deg: azimuth that somebody told of the first frame; of later ones it holds as far as the
            object turns steadily.
    """
    steps = torch.tensor(AZIMUTHS_DEG, dtype=torch.float64)
    rates = torch.tensor(RATES_DEG, dtype=torch.float64)[:, None]
    shown = (WEIGHT if len(logits) > 1 else 1.0) * logits.double()[:, None]  # [F, 1, 36]
    if facing_deg is not None:
        frames = torch.arange(len(logits))[:, None, None]
        beside = (_away_deg(steps, facing_deg + rates * frames).abs() - WORD_DEG).clamp_min(0)
        shown = shown - 0.5 * (beside / BESIDE_WORD_DEG).square()
    shown = (shown - shown.amax((1, 2), keepdim=True)).exp()
    away = _away_deg(steps[:, None] + rates[:, None], steps)  # [R, 36, 36], from row to column
    turning = F.normalize(torch.exp(-0.5 * (away / TURN_DEG).square()) + LOST, p=1, dim=2)
    evidence = -0.5 * (rates[:, 0] / USUAL_RATE_DEG).square()
    before, after = [shown[0].expand(len(rates), -1)], [torch.ones(len(rates), len(steps)).double()]
    for now in shown[1:]:
        reached = now * torch.einsum("ra,rab->rb", before[-1], turning)
        evidence = evidence + reached.sum(1).log()
        before.append(F.normalize(reached, p=1, dim=1))
    for later in shown[1:].flip(0):
        after.append(F.normalize(torch.einsum("rab,rb->ra", turning, later * after[-1]), p=1, dim=1))
    chances = F.normalize(torch.stack(before) * torch.stack(after[::-1]), p=1, dim=2)  # [F, R, 36]
    mean = torch.einsum("r,fra->fa", evidence.softmax(0), chances)
    return mean.clamp_min(1e-9).log().to(logits.dtype)


def _away_deg(azimuths: Tensor, other: Tensor | float) -> Tensor:
    """Degrees from -90 to 90 between planes that face so."""
    return (azimuths - other + 90).remainder(180) - 90


def likely_planes(logits: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """The CANDIDATES likeliest planes, and that there is none of them.

    Args:
        logits: [36] of the azimuths.
        offsets: [36] of their planes, in OFFSET_UNIT.

    Returns:
        Planes [CANDIDATES + 1, 4], the last one 0, and how much each counts: its chance, the last one's
        that of all other azimuths, to the power DECIDED. They add up to 1.
    """
    count = len(logits)
    left = logits.softmax(0)
    planes, chances = [], []
    for _ in range(CANDIDATES):
        around = _with_neighbours(left)
        best = int(around.argmax())
        near = [(best + k) % count for k in range(-AROUND, AROUND + 1)]
        told = torch.tensor([upright_plane(AZIMUTHS_DEG[k], OFFSET_UNIT * float(offsets[k])) for k in near])
        planes.append((left[near, None] * told).sum(0))
        chances.append(around[best])
        left = left.index_fill(0, torch.tensor(near), 0.0)
    chances = torch.stack(chances)
    counts = torch.cat([chances, (1 - chances.sum()).clamp_min(0)[None]]) ** DECIDED
    return F.pad(proper(torch.stack(planes)), (0, 0, 0, 1)), counts / counts.sum()


def facing_and_chance(logits: Tensor, num_frames: int) -> tuple[float, float]:
    """The likeliest azimuth in degrees, and the chance that it is right to 22.5 degrees.

    Frames err alike. That does not keep their sum from being the best choice, but all of them
    together are as sure as one of them is.

    Args:
        logits: [36] of `steadied_by_others` for one of so many frames.
    """
    best = int(_with_neighbours(logits.softmax(0)).argmax())
    counted = max(1.0, WEIGHT * min(num_frames, ALIKE))
    return AZIMUTHS_DEG[best], float(_with_neighbours((logits / counted).softmax(0), IN_A_WORD)[best])


def _with_neighbours(chances: Tensor, steps: int = AROUND) -> Tensor:
    """[36] of each azimuth and those that count as the same answer."""
    return torch.stack([chances.roll(k) for k in range(-steps, steps + 1)]).sum(0)


def angle_between_deg(planes: Tensor, others: Tensor) -> Tensor:
    """Degrees in [0, 90] between planes [..., 4]."""
    alike = (F.normalize(planes[..., :2], dim=-1) * F.normalize(others[..., :2], dim=-1)).sum(-1)
    return torch.rad2deg(torch.arccos(alike.clamp(-1, 1))) / 2
