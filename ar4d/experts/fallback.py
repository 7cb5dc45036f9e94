"""An expert and those after it: when memory runs out, the next one takes over and the run continues."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.events import Event, ExpertChosen, Role, Warned
from ar4d.experts.hardware import free_gpu_memory, is_out_of_memory
from ar4d.experts.preparing import prepare
from ar4d.experts.protocols import ClipAware
from ar4d.experts.registry import Entry, available_after, require
from ar4d.reporting import OnProgress, OnViews, ReportsProgress, ReportsViews, ReportsWarnings

T = TypeVar("T")
Emit = Callable[[Event], None]


class Fallback:
    """Plays a role with the best expert that this machine can run (see `protocols`).

    It forwards the methods of whatever expert it holds, so that a stage need not know that it is there.
    """

    def __init__(self, role: Role, entry: Entry, reason: str, device: torch.device, emit: Emit) -> None:
        """Builds the expert; what it needs from the hub must be present.

        Args:
            reason: why it is this one.
            emit: called with what the user should know: which expert is used, and when it is replaced.

        Raises:
            UserError: memory runs out and no smaller expert is left.
        """
        self.role, self.on_progress, self.on_views = role, None, None
        self._device, self._emit = device, emit
        self._clip: tuple[Tensor, float | None] | None = None
        self._expert: Any = None
        self.name = entry.name
        self._build(entry, reason)

    @classmethod
    def load(
        cls, role: Role, name: str, device: torch.device, emit: Emit
    ) -> Generator[Event, None, Fallback]:
        """Downloads what the expert lacks, builds it, and yields the download's progress.

        Args:
            name: of an expert, or "auto".

        Raises:
            UserError: there is no such expert, it cannot run here, or the hub does not give what it needs.
        """
        entry, reason = require(role, name, device)
        yield from prepare(entry)
        return cls(role, entry, reason, device, emit)

    on_progress: OnProgress | None
    """As `ReportsProgress.on_progress`, for whichever expert works."""
    on_views: OnViews | None
    """As `ReportsViews.on_views`, for whichever expert works."""

    def with_clip(self, clip: Tensor, facing_deg: float | None = None) -> Fallback:
        """As `ClipAware.with_clip`, for this expert and those that may follow."""
        self._clip = torch.stack([(255 * frame).round().byte() for frame in clip]), facing_deg  # a quarter
        self._expert = self._call(lambda expert: shown_clip(expert, clip, facing_deg))
        return self

    @property
    def facing_estimate(self) -> tuple[float, float] | None:
        """As `ClipAware.facing_estimate`; None where the expert makes no estimate."""
        return self._expert.facing_estimate if isinstance(self._expert, ClipAware) else None

    @property
    def warnings(self) -> list[str]:
        """As `ReportsWarnings.warnings`; empty where the expert has none."""
        return self._expert.warnings if isinstance(self._expert, ReportsWarnings) else []

    def __getattr__(self, name: str) -> Any:
        """What the expert of any role can do: its methods are called as `_call` does."""
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._expert, name)
        if not callable(value):
            return value
        return lambda *args, **kwargs: self._call(lambda expert: getattr(expert, name)(*args, **kwargs))

    def _call(self, work: Callable[[Any], T]) -> T:
        """Lets the expert work; if memory runs out, the next one.

        Raises:
            UserError: memory runs out and there is no next one.
        """
        while True:
            if isinstance(self._expert, ReportsProgress):
                self._expert.on_progress = self.on_progress
            if isinstance(self._expert, ReportsViews):
                self._expert.on_views = self.on_views
            try:
                return work(self._expert)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            self._replace()

    def _build(self, entry: Entry, reason: str) -> None:
        try:
            self._expert = entry.build(self._device)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._replace()
            return
        self._emit(ExpertChosen(self.role, self.name, reason))
        if self._clip is not None:
            clip, facing_deg = self._clip
            self.with_clip(clip.float() / 255, facing_deg)

    def _replace(self) -> None:
        """Builds the next expert in place of the present one."""
        self._expert = None
        free_gpu_memory()
        following = next(available_after(self.role, self.name, self._device), None)
        if following is None:
            raise UserError(
                f'Memory ran out in the expert "{self.name}" and no smaller one is left; close other '
                "programs that use it, or take a smaller preset."
            )
        self._emit(
            Warned(f'Memory ran out in the expert "{self.name}": "{following.name}" continues in its place.')
        )
        failed, self.name = self.name, following.name
        self._build(following, f"memory ran out in {failed}")


def shown_clip(expert: Any, clip: Tensor, facing_deg: float | None) -> Any:
    """The expert having seen the clip, if it is `ClipAware`; else as it is."""
    return expert.with_clip(clip, facing_deg) if isinstance(expert, ClipAware) else expert
