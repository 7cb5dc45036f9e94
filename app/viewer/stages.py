"""The results of a run so far: the stages' Gaussians at any position in time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Container, Hashable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import torch

from ar4d.asset import Asset4D
from ar4d.errors import UserError
from ar4d.events import Stage
from ar4d.gaussians import Gaussians, interpolate
from ar4d.lifetimes import aligned

Value = TypeVar("Value")


class SingleFlightCache(Generic[Value]):
    """A cache of recent values that computes each value once, however many threads ask for it."""

    def __init__(self, size: int, weigh: Callable[[Value], int] = lambda _: 1) -> None:
        """
        Args:
            size: largest total weight; the newest value always stays.
            weigh: gives the weight of a value.
        """
        self._size, self._weigh, self._weight = size, weigh, 0
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value for `key`, computed by `make` if missing; threads that ask meanwhile wait for it."""
        with self._lock:
            if key in self._values:
                return self._used(key)
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._values:
                    return self._used(key)
            try:
                value = make()
                with self._lock:
                    self._keep(key, value)
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return value

    def clear(self) -> None:
        """Drops all values."""
        with self._lock:
            self._values.clear()
            self._weight = 0

    def _used(self, key: Hashable) -> Value:
        self._values.move_to_end(key)
        return self._values[key]

    def _keep(self, key: Hashable, value: Value) -> None:
        old = self._values.pop(key, None)
        self._weight += self._weigh(value) - (self._weigh(old) if old is not None else 0)
        self._values[key] = value
        while self._weight > self._size and len(self._values) > 1:
            self._weight -= self._weigh(self._values.popitem(last=False)[1])


class Stages:
    """The results of a run's stages: the frames as they come, and at last the asset.

    A position in time is counted in frames: 0 is the clip's first one, 2.5 is halfway between the third and
    the fourth. Frames may be files, which are read when they are looked at. All results lie on `device`.

    A stage shows the frames that it and the stages before it made. The last stage shows the asset.
    """

    def __init__(self, device: str = "cpu", names: Sequence[Stage] = (), canonical: int = 0) -> None:
        """
        Args:
            names: the run's stages in order, as `Planned` announces them.
            canonical: index of the frame that is made first; the others follow from it to both sides.
        """
        self.canonical = canonical
        self._device = device
        self._names = list(names)
        self._frames: dict[int, Gaussians | Path] = {}
        self._made_by: dict[int, Stage] = {}
        self._asset: Asset4D | None = None
        self._preview: Asset4D | None = None
        self._lock = threading.Lock()
        self._loaded: SingleFlightCache[Gaussians] = SingleFlightCache(4)
        self._evaluated: SingleFlightCache[Gaussians] = SingleFlightCache(4)
        self.revision = 0  # counts how often a result was replaced

    @property
    def names(self) -> tuple[Stage, ...]:
        """The stages in order."""
        return tuple(self._names)

    def plan(self, names: Sequence[Stage]) -> None:
        """Announces the stages in order."""
        with self._lock:
            self._names = [*names, *(name for name in self._names if name not in names)]

    def set_frame(self, index: int, frame: Gaussians | Path, stage: Stage) -> None:
        """Takes a frame that `stage` has made."""
        with self._lock:
            if stage not in self._names:
                self._names.append(stage)
            self.revision += index in self._frames
            self._frames[index] = frame if isinstance(frame, Path) else self._received(frame)
            self._made_by[index] = stage
            self.forget()

    def set_asset(self, asset: Asset4D) -> None:
        """Takes the finished asset."""
        with self._lock:
            self.revision += self._asset is not None
            self._asset = asset.to(self._device)
            self.forget()

    def set_preview(self, asset: Asset4D) -> None:
        """Takes the asset as the last stage has it so far."""
        with self._lock:
            self.revision += self._preview is not None
            self._preview = asset.to(self._device)
            self.forget()

    @property
    def _newest(self) -> Asset4D | None:
        """The finished asset, or else what there is of it."""
        return self._asset if self._asset is not None else self._preview

    @property
    def asset(self) -> Asset4D | None:
        """The finished asset; None until it exists."""
        return self._asset

    @property
    def finished(self) -> range:
        """Indices of the finished frames around the canonical one, without a gap."""
        return _around(self.canonical, self._frames)

    def limits(self, stage: Stage) -> tuple[int, int] | None:
        """The first and last position that a stage can show; None while it has no result of its own."""
        newest = self._newest
        if newest is not None and self._names[-1:] == [stage]:
            return 0, newest.num_frames - 1
        made_by = dict(self._made_by)
        if stage not in made_by.values():
            return None
        earlier = self._names[: self._names.index(stage) + 1]
        shown = _around(self.canonical, {index for index, name in made_by.items() if name in earlier})
        return (shown[0], shown[-1]) if shown else None

    def has_all(self, stage: Stage) -> bool:
        """Whether a stage has every frame of the finished asset."""
        return self._asset is not None and self.limits(stage) == (0, self._asset.num_frames - 1)

    def first(self) -> Gaussians | None:
        """The canonical frame of the earliest stage that has one; None while nothing is finished."""
        if self.canonical in self._frames:
            return self._frame(self.canonical)
        return self._asset.at(0.0) if self._asset is not None else None

    def forget(self) -> None:
        """Frees what can be computed or read again."""
        self._loaded.clear()
        self._evaluated.clear()

    def at(self, stage: Stage, position: float) -> Gaussians:
        """The Gaussians of a stage; beyond its first and last positions it is those.

        Raises:
            UserError: the stage has no result yet, or its file is gone.
        """
        limits = self.limits(stage)
        if limits is None:
            raise UserError(f'The stage "{stage}" has no result yet; wait for it or choose another stage.')
        position = min(max(position, limits[0]), limits[1])
        return self._evaluated.get((stage, position), lambda: self._evaluate(stage, position))

    def _evaluate(self, stage: Stage, position: float) -> Gaussians:
        newest = self._newest
        if newest is not None and stage == self._names[-1]:
            return newest.at(min(position / max(newest.num_frames - 1, 1), 1.0))
        before = int(position)
        weight = position - before
        if weight == 0:
            return self._frame(before)
        first, second = aligned([self._frame(before), self._frame(before + 1)])
        return interpolate(first, second, weight)

    def _frame(self, index: int) -> Gaussians:
        frame = self._frames[index]
        if isinstance(frame, Path):
            return self._loaded.get(frame, lambda: Gaussians.load(frame).to(self._device))
        return frame

    def _received(self, frame: Gaussians) -> Gaussians:
        return frame.map(torch.Tensor.detach).to(self._device)


def _around(index: int, finished: Container[int]) -> range:
    """The longest range of indices about one of them of which each is in `finished`."""
    first = last = index
    while last in finished:
        last += 1
    while first - 1 in finished and last > index:
        first -= 1
    return range(first, last)
