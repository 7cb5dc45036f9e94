"""Where a run's shots come from: samples on disk, or a studio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

from train.data.actor_clouds import clouds_of_actors
from train.data.dataset import Studio
from train.data.point_clouds import Cloud, gather
from train.data.procedural.clouds import made_up_clouds
from train.data.rendered import Album
from train.data.samples import Samples, Shots
from train.data.view_batch import Pictures
from train.loop import Options

PAIRS = 4  # of neighbouring poses that a made-up object has, as packed actors do
KEPT = 256  # objects, at most, that runs are validated on
KEPT_SEED = 1
KEPT_OBJECTS = 10**9  # seed of made-up objects that no run trains on


class Source(Protocol):
    """Never ends."""

    def shots(self, count: int) -> Shots: ...

    def close_ups(self, count: int) -> Pictures: ...


def sources(options: Options, seed: int) -> tuple[Source, Source]:
    """What to train on, and kept objects; asked for before anything else is on a GPU.

    Args:
        seed: of what is trained on.
    """
    if options.actors is None and not options.made_up:
        training, kept = (Samples(options.data, validation=kept) for kept in (False, True))
        return Album(training, seed), Album(kept, KEPT_SEED)
    made_up = made_up_clouds(options.made_up, PAIRS, options.points, seed) if options.made_up else []
    actors: list[Cloud] = []
    kept_actors: list[Cloud] = []
    if options.actors is not None:
        actors = clouds_of_actors(options.actors, options.points, validation=False)
        kept_actors = clouds_of_actors(options.actors, options.points, validation=True)
    kept_actors = kept_actors or made_up_clouds(KEPT, PAIRS, options.points, KEPT_OBJECTS)
    return (
        Studio(gather(actors + made_up, options.on), seed),
        Studio(gather(kept_actors, options.on), KEPT_SEED),
    )


Taken = TypeVar("Taken")


def repeated(take: Callable[[int], Taken], times: int) -> Callable[[int], Taken]:
    """Takes objects as `take` does, but all of them several times: it costs more than looking at them."""
    kept: list[Taken] = []

    def next_ones(count: int) -> Taken:
        if not kept:
            kept.extend([take(count)] * times)
        return kept.pop()

    return next_ones


def in_parts(make: Callable[[], list[Taken]]) -> Callable[[], Taken]:
    """One after the other of what is made as several."""
    left: list[Taken] = []

    def next_one() -> Taken:
        if not left:
            left.extend(make())
        return left.pop()

    return next_one


def generator(device: torch.device, seed: int) -> torch.Generator:
    """On a device."""
    return torch.Generator(device).manual_seed(seed)
