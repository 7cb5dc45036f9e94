"""A run of a swimming fish for the viewer's browser tests, and what these ask the page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache

import numpy as np

from app.viewer import RunViewer
from ar4d.clip import Clip
from ar4d.events import Finished, FrameFinished
from ar4d.gaussians import Gaussians
from ar4d.player.packing import pack
from tests.support.browser import PLAN, Swimming, fish, fish_clip, splats

FRAMES, COUNT = 6, 300


@cache
def swimming_clip() -> Clip:
    """The run's clip."""
    return fish_clip(FRAMES, 64)


def add_frame(viewer: RunViewer, k: int) -> None:
    stage = "generate" if k else "initialize"
    viewer.on(FrameFinished(stage, k, fish(k / (FRAMES - 1), COUNT), 25.0, 0.9, 1.0))


def finish(viewer: RunViewer) -> None:
    viewer.on(PLAN)
    for k in range(FRAMES):
        add_frame(viewer, k)
    viewer.on(Finished(Swimming(FRAMES, 6.0, COUNT), (25.0,) * FRAMES, (0.9,) * FRAMES))


def shows(gaussians: Gaussians) -> Callable[..., bool]:
    expected = np.frombuffer(pack(gaussians), np.uint32).reshape(-1, 8)

    def check(page, name: str = "/left") -> bool:
        shown = splats(page, name)
        return shown.shape == expected.shape and np.array_equal(
            shown[:, [0, 1, 2, 4, 5, 6, 7]], expected[:, [0, 1, 2, 4, 5, 6, 7]]
        )

    return check


def eventually(page, condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, page.evaluate(
            "JSON.stringify([ar4d.clock, ar4d.stage, ar4d.splats.counts])"
        )
        page.wait_for_timeout(30)


def scrub(page, position: float) -> None:
    page.evaluate(
        """(position) => {
            const scrub = document.querySelector('[data-part=scrub]');
            scrub.value = position;
            scrub.dispatchEvent(new Event('input'));
        }""",
        position,
    )


def camera(page) -> dict:
    return page.evaluate("import('ar4d/bridge.js').then((bridge) => bridge.camera())")


def counts(page) -> dict:
    return json.loads(page.evaluate("JSON.stringify(ar4d.splats.counts)"))
