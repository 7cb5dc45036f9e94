"""Clips from a prompt or a picture: the experts that can make them, and one job at a time."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from app.runs.worker import Report, Worker
from ar4d.errors import UserError
from ar4d.events import Event, drain
from ar4d.experts.registry import Entry, of_role
from ar4d.imagine import ImagineSettings
from ar4d.settings import Device

CLIP, CLIP_RECORD = "imagined.mp4", "imagined.json"
PROMPT_ROLES = ("text_to_video", "text_to_image", "image_to_video")


@dataclass(frozen=True)
class GenerateClip:
    """Task for a worker: makes a clip and reports its events. Returns False if it was stopped."""

    prompt: str
    picture: Path | None
    settings: ImagineSettings
    device: Device
    out: Path

    def work(self, report: Report, stopped: threading.Event) -> bool:
        from ar4d.devices import resolve_device
        from ar4d.imagine import imagine, save

        stream = imagine(self.prompt, self.settings, resolve_device(self.device), self.picture)

        def forward(event: Event) -> None:
            report(event)
            if stopped.is_set():
                raise _Cancelled

        with closing(stream), suppress(_Cancelled):
            save(drain(stream, forward), self.out)
            return True
        return False


class _Cancelled(Exception):
    """Raised to leave `drain` early."""


class PromptJobs:
    """Makes clips for visitors, one at a time."""

    def __init__(
        self, cache: Path, device: str, make_worker: Callable[[], Any] = lambda: Worker("prompt")
    ) -> None:
        """
        Args:
            cache: the folder for clips until a draft is made of them.
            device: "cpu" or "cuda".
            make_worker: makes the process for one clip; it ends with the clip, which frees the GPU.
        """
        self._cache, self._device, self._make_worker = cache, device, make_worker
        self._busy = threading.Lock()
        self._workers: dict[str, Any] = {}  # by visitor

    def offers(self) -> list[tuple[Entry, str]]:
        """The experts that make clips, and why each cannot run here ("" if it can)."""
        import torch

        device = torch.device(self._device)
        both = [*of_role("text_to_video"), *of_role("image_to_video")]
        entries = {entry.name: entry for entry in both}.values()
        obstacles = ((entry, entry.why_unavailable(device)) for entry in entries)
        return [(entry, obstacle.reason if obstacle else "") for entry, obstacle in obstacles]

    def generate(
        self, visitor: str, prompt: str, picture: Path | None, settings: ImagineSettings
    ) -> Generator[Event, None, Path | None]:
        """Makes a clip.

        Yields:
            Events.

        Returns:
            A folder with the clip and its record, or None if the visitor cancelled it.

        Raises:
            UserError: another visitor's clip is being made, or as `imagine`.
        """
        if not self._busy.acquire(blocking=False):
            raise UserError("Another visitor's clip is being made; try again in a few minutes.")
        folder = self._cache / secrets.token_urlsafe(16)
        folder.mkdir()
        task = GenerateClip(prompt, picture, settings, cast("Device", self._device), folder / CLIP)
        worker = self._make_worker()
        self._workers[visitor] = worker
        finished = False
        try:
            finished = yield from worker.run(task)
            return folder if finished else None
        finally:
            self._workers.pop(visitor, None)
            worker.close()
            if not finished:
                shutil.rmtree(folder, ignore_errors=True)
            self._busy.release()

    def cancel(self, visitor: str) -> None:
        """Stops the visitor's clip at its next step, if one is being made."""
        worker = self._workers.get(visitor)
        if worker is not None:
            worker.stop()
