"""A small server application for tests: the real workers, with settings that take seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

from app.main import Server
from app.runs.limits import Limits
from app.runs.storage import new_token
from app.server import Viewers
from app.service import Service
from ar4d import presets
from ar4d.clip import Clip, ClipSettings
from ar4d.presets import CPU
from ar4d.runs import Recipe, Run
from ar4d.settings import Settings
from tests.conftest import make_clip, quick
from tests.support.footage import moving_disk, over, write_video

TOKEN = "a" * 43


def quick_preset(iterations: int = 20) -> Settings:
    """By the expert that needs no time, whichever is this version's default."""
    settings = quick(CPU)
    return replace(
        settings,
        initialize=replace(settings.initialize, expert="silhouette"),
        generate=replace(settings.generate, expert="silhouette", iterations=iterations),
    )


def slow(settings: Settings) -> Settings:
    """Long enough to be interrupted, on a fast machine too."""
    return replace(settings, generate=replace(settings.generate, iterations=1000))


@contextmanager
def serving_page(runs: Path, limits: Limits | None = None) -> Iterator[Server]:
    """The whole application on a free port; its preset `cpu` is a quick one, `cpu-fine` a slow one."""
    quicker = {
        "cpu": replace(presets.PRESETS["cpu"], settings=replace(quick_preset(), preset="cpu")),
        "cpu-fine": replace(
            presets.PRESETS["cpu-fine"], settings=replace(slow(quick_preset()), preset="cpu-fine")
        ),
    }
    with mock.patch.dict(presets.PRESETS, quicker):
        server = Server(runs, limits=limits, example=None)
        try:
            yield server
        finally:
            server.close()


@contextmanager
def service(root: Path, limits: Limits | None = None, started: bool = True) -> Iterator[Service]:
    """All but the page."""
    viewers = Viewers()
    opened = Service(root, viewers, limits, device="cpu")
    if started:
        opened.start()
    try:
        yield opened
    finally:
        opened.close()
        viewers.close_all()


def make_run(service: Service, settings: Settings, token: str = TOKEN, clip: Clip | None = None) -> Path:
    """A run that is not queued yet."""
    from app.runs.storage import create_job_record

    folder = service.storage.new_run(token)
    folder.mkdir(parents=True)
    create_job_record(folder, "ball", "ball.mp4")
    Run.create(folder, Recipe("ball.mp4", ClipSettings(), settings), clip or make_clip())
    return folder


def disk_video(folder: Path, name: str = "disk.mp4", num_frames: int = 6) -> Path:
    return write_video(folder / name, [over(picture) for picture in moving_disk(num_frames)])


__all__ = ["TOKEN", "disk_video", "make_run", "new_token", "quick_preset", "service", "serving_page", "slow"]
