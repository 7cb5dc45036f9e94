"""Batches of single pictures with their planes of symmetry: what the facing network learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ar4d.experts.embedded.crops import ObjectCrops, crop_to_object
from ar4d.experts.embedded.geometry import VIEWS
from train.data.examples import reorder_planes
from train.data.view_batch import ViewBatch


@dataclass(frozen=True)
class CropBatch:
    """B crops of symmetric objects."""

    pictures: Tensor  # [B, 4, IN_SIZE, IN_SIZE] premultiplied
    planes: Tensor  # [B, 4] in the crops

    @staticmethod
    def from_crops(crops: ObjectCrops, planes: Tensor) -> CropBatch:
        """A batch of crops of objects whose planes in the full pictures are `planes` [B, 4]."""
        return CropBatch(crops.pictures, crops.planes_from_full(planes))

    def split(self, size: int) -> list[CropBatch]:
        """Split into batches of at most `size`."""
        parts = zip(self.pictures.split(size), self.planes.split(size), strict=True)
        return [CropBatch(*tensors) for tensors in parts]


def crops_of_views(batch: ViewBatch) -> CropBatch:
    """Crops of all four views of the symmetric objects in the batch."""
    planes = planes_of_views(batch.planes)
    crops = CropBatch.from_crops(crop_to_object(batch.views.flatten(0, 1)), planes)
    symmetric = planes.any(1)
    return CropBatch(crops.pictures[symmetric], crops.planes[symmetric])


def planes_of_views(planes: Tensor) -> Tensor:
    """Planes [4 B, 4] in all four views from planes [B, 4] in the first; an object's views are neighbours."""
    rolls = torch.arange(VIEWS, device=planes.device).repeat(len(planes))
    mirror = torch.zeros_like(rolls, dtype=torch.bool)
    return reorder_planes(planes.repeat_interleave(VIEWS, 0), rolls, mirror)
