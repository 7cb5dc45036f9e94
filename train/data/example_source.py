"""Sources of training batches: rendered samples on disk, or point clouds rendered on the fly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

from train.data.actor_clouds import clouds_of_actors
from train.data.crop_batch import CropBatch
from train.data.point_cloud_dataset import PointCloudDataset
from train.data.point_clouds import PointCloud, stack_clouds
from train.data.procedural.clouds import procedural_clouds
from train.data.rendered_dataset import RenderedDataset
from train.data.samples import Samples
from train.data.view_batch import ViewBatch
from train.loop import Options

PAIRS = 4
"""Pairs of neighbouring poses of a procedural object, as many as packed actors have."""
HOLDOUT_SIZE = 256
"""Largest number of objects that a run is validated on."""
HOLDOUT_VIEW_SEED = 1
"""Seed of the views of holdout objects."""
HOLDOUT_OBJECT_SEED = 10**9
"""Seed of procedural objects that no run trains on."""


class ExampleSource(Protocol):
    """An infinite source of training batches."""

    def sample_views(self, count: int) -> ViewBatch:
        """Views of `count` objects."""
        ...

    def sample_crops(self, count: int) -> CropBatch:
        """Crops of all views of about `count` symmetric objects."""
        ...


def example_sources(options: Options, seed: int) -> tuple[ExampleSource, ExampleSource]:
    """Make the sources of training and holdout batches.

    Clouds are made in forked processes, so it must be called before a GPU is used.

    Args:
        options: where the data comes from.
        seed: of the training batches.
    """
    if options.actors is None and not options.procedural:
        training, holdout = (Samples(options.data, validation=validation) for validation in (False, True))
        return RenderedDataset(training, seed), RenderedDataset(holdout, HOLDOUT_VIEW_SEED)
    procedural = (
        procedural_clouds(options.procedural, PAIRS, options.points, seed) if options.procedural else []
    )
    actors: list[PointCloud] = []
    holdout_clouds: list[PointCloud] = []
    if options.actors is not None:
        actors = clouds_of_actors(options.actors, options.points, validation=False)
        holdout_clouds = clouds_of_actors(options.actors, options.points, validation=True)
    if not holdout_clouds:
        holdout_clouds = procedural_clouds(HOLDOUT_SIZE, PAIRS, options.points, HOLDOUT_OBJECT_SEED)
    device = options.torch_device
    return (
        PointCloudDataset(stack_clouds(actors + procedural, device), seed),
        PointCloudDataset(stack_clouds(holdout_clouds, device), HOLDOUT_VIEW_SEED),
    )


Drawn = TypeVar("Drawn")


def repeated(draw: Callable[[int], Drawn], times: int) -> Callable[[int], Drawn]:
    """Return every batch of `draw` `times` times in a row: rendering costs more than a training step."""
    left: list[Drawn] = []

    def draw_or_repeat(count: int) -> Drawn:
        if not left:
            left.extend([draw(count)] * times)
        return left.pop()

    return draw_or_repeat


def amortized(make: Callable[[], list[Drawn]]) -> Callable[[], Drawn]:
    """Return the batches that `make` makes several at a time, one per call, the last one first."""
    left: list[Drawn] = []

    def next_batch() -> Drawn:
        if not left:
            left.extend(make())
        return left.pop()

    return next_batch


def generator(device: torch.device, seed: int) -> torch.Generator:
    """A seeded generator on `device`."""
    return torch.Generator(device).manual_seed(seed)
