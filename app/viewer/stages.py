"""What a run has to show so far: the stages' Gaussians at any position in time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, Literal, TypeVar

import torch

from ar4d.asset import Asset4D
from ar4d.errors import UserError
from ar4d.gaussians import Gaussians, interpolate

StageName = Literal["initial", "generated", "refined"]
Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The last results of a slow function, shared by all who watch the same viewer."""

    def __init__(self, size: int, weigh: Callable[[Value], int] = lambda _: 1) -> None:
        """
        Args:
            size: how much is kept at most; the newest value always is.
            weigh: what a value counts for.
        """
        self._size, self._weigh, self._weight = size, weigh, 0
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value for `key`, made now if it is not at hand: once, however many ask at a time."""
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
    """Frames of stages 1 and 2 as they come, and the asset of stage 3.

    A position in time is counted in frames: 0 is the clip's first one, 2.5 is halfway between the
    third and the fourth. Frames may be files; those are read when they are looked at. Whatever is
    handed out lies on `device`.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._frames: dict[int, Gaussians | Path] = {}
        self._asset: Asset4D | None = None
        self._lock = threading.Lock()
        self._loaded: Recent[Gaussians] = Recent(4)
        self._evaluated: Recent[Gaussians] = Recent(4)
        self.revision = 0  # counts whenever something that was there is replaced

    def set_frame(self, index: int, frame: Gaussians | Path) -> None:
        with self._lock:
            self.revision += index in self._frames
            self._frames[index] = frame if isinstance(frame, Path) else self._received(frame)
            self.forget()

    def set_asset(self, asset: Asset4D) -> None:
        with self._lock:
            self.revision += self._asset is not None
            self._asset = asset.to(self._device)
            self.forget()

    @property
    def asset(self) -> Asset4D | None:
        return self._asset

    @property
    def num_frames(self) -> int:
        """Finished frames, from the first one on without a gap."""
        count = 0
        while count in self._frames:
            count += 1
        return count

    def has(self, stage: StageName) -> bool:
        return self._asset is not None if stage == "refined" else 0 in self._frames

    def forget(self) -> None:
        """Lets go of what can be made again."""
        self._loaded.clear()
        self._evaluated.clear()

    def at(self, stage: StageName, position: float) -> Gaussians:
        """The Gaussians of a stage; beyond the last finished frame it is that one.

        Raises:
            UserError: the stage has nothing to show yet, or its file is gone.
        """
        if not self.has(stage):
            raise UserError(f"This run has no {stage} result yet; wait for it or choose another stage.")
        if stage == "initial":
            return self._frame(0)
        return self._evaluated.get((stage, position), lambda: self._evaluate(stage, position))

    def _evaluate(self, stage: StageName, position: float) -> Gaussians:
        if stage == "refined":
            asset = self._asset
            assert asset is not None  # a stage that was there stays
            return asset.at(min(position / max(asset.num_frames - 1, 1), 1.0))
        position = min(position, self.num_frames - 1)
        before = int(position)
        weight = position - before
        if weight == 0:
            return self._frame(before)
        return interpolate(self._frame(before), self._frame(before + 1), weight)

    def _frame(self, index: int) -> Gaussians:
        frame = self._frames[index]
        if isinstance(frame, Path):
            return self._loaded.get(frame, lambda: Gaussians.load(frame).to(self._device))
        return frame

    def _received(self, frame: Gaussians) -> Gaussians:
        return frame.map(torch.Tensor.detach).to(self._device)
