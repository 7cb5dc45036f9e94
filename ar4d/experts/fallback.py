"""An expert and those below it: when memory is full, the next one takes over and the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.events import Event, ExpertChosen, FacingSeen, Progress, Role, Warned
from ar4d.experts.hardware import free_gpu_memory, is_out_of_memory
from ar4d.experts.preparing import prepare
from ar4d.experts.registry import below, require
from ar4d.gaussians import Gaussians
from ar4d.reporting import Report, reporting

T = TypeVar("T")


class Ladder:
    """Plays a role with the best expert that this machine can run (see `protocols`).

    What it has to say gathers as events, which whoever calls it takes with `news`.
    """

    def __init__(self, role: Role, name: str, device: torch.device) -> None:
        """
        Args:
            name: of an expert, or "auto".

        Raises:
            UserError: there is no such expert, or it cannot run here.
        """
        self.role: Role = role
        self._device = device
        self._events: list[Event] = []
        self._seen: tuple[Tensor, float | None] | None = None
        entry, reason = require(role, name, device)
        self.name = entry.name
        self._expert: Any = None
        self._climb(entry.build, reason)

    @classmethod
    def raised(cls, role: Role, name: str, device: torch.device) -> Generator[Event, None, Ladder]:
        """Downloads what the expert lacks, builds it, and yields what there is to say about that.

        Raises:
            UserError: as the constructor, or the hub does not give what it needs.
        """
        yield from prepare(require(role, name, device)[0])
        ladder = cls(role, name, device)
        yield from ladder.news()
        return ladder

    def watch(self, clip: Tensor, facing_deg: float | None) -> None:
        """Shows the clip to the expert, and to those that may follow: see `WatchesClip.watching`."""
        self._seen = clip, facing_deg
        self._expert = self.call(
            lambda expert: expert.watching(clip, facing_deg) if hasattr(expert, "watching") else expert
        )

    def seen_facing(self) -> list[Event]:
        """Which way the object looks, if the expert is one that tells it."""
        seen = getattr(self._expert, "seen_facing", None)
        return [] if seen is None else [FacingSeen(*seen)]

    def news(self) -> list[Event]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events

    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """As `ImageToGaussians.lift`."""
        return self.call(lambda expert: expert.lift(rgba, budget, elevation_deg))

    def lifting(
        self, rgba: Tensor, budget: int, elevation_deg: float = 0.0
    ) -> Generator[Event, None, Gaussians]:
        """The same as a stream: yields what the expert reports while it works."""

        def work(report: Report) -> Gaussians:
            self._listen(report)
            return self.lift(rgba, budget, elevation_deg)

        gaussians = yield from reporting(work)
        yield from self.news()
        return gaussians

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        """As `ViewsToGaussians.reconstruct`."""
        return self.call(lambda expert: expert.reconstruct(rgba, elevation_deg))

    def relift(self, rgba: Tensor, known: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """As `SceneToGaussians.relift`."""
        return self.call(lambda expert: expert.relift(rgba, known, budget, elevation_deg))

    def call(self, work: Callable[[Any], T]) -> T:
        """Lets the expert work; if memory runs out, the next one.

        Raises:
            UserError: memory runs out and there is no next one.
        """
        while True:
            try:
                return work(self._expert)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            self._step_down()

    def _climb(self, build: Callable[[torch.device], Any], reason: str) -> None:
        try:
            self._expert = build(self._device)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._step_down()
            return
        self._events.append(ExpertChosen(self.role, self.name, reason))
        if self._seen is not None:
            self.watch(*self._seen)

    def _step_down(self) -> None:
        self._expert = None
        free_gpu_memory()
        following = next(below(self.role, self.name, self._device), None)
        if following is None:
            raise UserError(
                f'Memory ran out in the expert "{self.name}" and no smaller one is left; close other '
                "programs that use it, or take a smaller preset."
            )
        self._events.append(
            Warned(f'Memory ran out in the expert "{self.name}": "{following.name}" goes on in its place.')
        )
        failed, self.name = self.name, following.name
        self._climb(following.build, f"memory ran out in {failed}")

    def _listen(self, report: Report) -> None:
        """Has the expert report its progress, if it can."""
        if hasattr(self._expert, "on_progress"):
            self._expert.on_progress = lambda task, done, total: report(Progress(task, done, total))
