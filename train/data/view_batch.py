"""Single pictures and the planes of symmetry that are seen in them: what the facing network learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ar4d.experts.embedded.closeup import CloseUps, close_ups
from ar4d.experts.embedded.geometry import VIEWS
from train.data.examples import turned
from train.data.samples import Shots


@dataclass(frozen=True)
class Pictures:
    """A batch of close-ups of symmetric objects."""

    pictures: Tensor  # [B, 4, IN_SIZE, IN_SIZE] premultiplied
    planes: Tensor  # [B, 4] in them

    @staticmethod
    def of(near: CloseUps, planes: Tensor) -> Pictures:
        """The close-ups of objects that have the planes [B, 4] in the whole pictures."""
        return Pictures(near.pictures, near.planes(planes))

    def split(self, size: int) -> list[Pictures]:
        """Batches of that size."""
        return [
            Pictures(*parts) for parts in zip(self.pictures.split(size), self.planes.split(size), strict=True)
        ]


def every_picture(shots: Shots) -> Pictures:
    """All views of the symmetric objects among the shots, cut out."""
    planes = planes_of_views(shots.planes)
    every, chosen = Pictures.of(close_ups(shots.views.flatten(0, 1)), planes), planes.any(1)
    return Pictures(every.pictures[chosen], every.planes[chosen])


def planes_of_views(planes: Tensor) -> Tensor:
    """[4 B, 4] as each of the four views has the planes [B, 4] of the first."""
    rolls = torch.arange(VIEWS, device=planes.device).repeat(len(planes))
    return turned(planes.repeat_interleave(VIEWS, 0), rolls, torch.zeros_like(rolls, dtype=torch.bool))
