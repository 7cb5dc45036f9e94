"""Where a run's shots come from: samples on disk, or a studio."""

from __future__ import annotations

from typing import Protocol

import torch

from train.clouds import Cloud, clouds_of_actors, gather, made_up_clouds
from train.samples import Album, Samples, Shots
from train.studio import Studio
from train.trainer import Options

PAIRS = 4  # of neighbouring poses that a made-up object has, as packed actors do
KEPT = 256  # objects, at most, that runs are validated on
KEPT_SEED = 1
KEPT_OBJECTS = 10**9  # seed of made-up objects that no run trains on


class Source(Protocol):
    """Never ends."""

    def shots(self, count: int) -> Shots: ...


def sources(options: Options, seed: int, pairs: bool = True) -> tuple[Source, Source]:
    """Shots to train on and shots of kept objects; asked for before anything else is on a GPU.

    Args:
        seed: of what is trained on.
        pairs: whether the other pose is wanted too.
    """
    if options.actors is None and not options.made_up:
        training, kept = (Samples(options.data, validation=kept) for kept in (False, True))
        return Repeated(Album(training, seed), options.reuse), Album(kept, KEPT_SEED)
    made_up = made_up_clouds(options.made_up, PAIRS, options.points, seed) if options.made_up else []
    actors: list[Cloud] = []
    kept_actors: list[Cloud] = []
    if options.actors is not None:
        actors = clouds_of_actors(options.actors, options.points, validation=False)
        kept_actors = clouds_of_actors(options.actors, options.points, validation=True)
    kept_actors = kept_actors or made_up_clouds(KEPT, PAIRS, options.points, KEPT_OBJECTS)
    return (
        Repeated(Studio(gather(actors + made_up, options.on), seed, pairs), options.reuse),
        Studio(gather(kept_actors, options.on), KEPT_SEED, pairs),
    )


class Repeated:
    """The same shots several times before the next ones: taking them costs more than looking at them."""

    def __init__(self, source: Source, times: int) -> None:
        self.source, self.times, self.left = source, times, 0

    def shots(self, count: int) -> Shots:
        if self.left == 0:
            self.taken, self.left = self.source.shots(count), self.times
        self.left -= 1
        return self.taken


def generator(device: torch.device, seed: int) -> torch.Generator:
    """On a device."""
    return torch.Generator(device).manual_seed(seed)
