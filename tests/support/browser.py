"""Chromium for the tests: what the benchmarks use as well, and looking at the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from benchmarks.support.browser import CHROMIUM, HARMLESS, chromium, opened, serving, wait_for_splats
from benchmarks.support.fish import PLAN, Swimming, fish, fish_clip

ARTEFACTS = Path(__file__).parents[1] / "artefacts"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a file."""
    with chromium() as started:
        yield started


def splats(page: Page, name: str = "/left") -> np.ndarray:
    """The buffer that viser shows, [N, 8] uint32."""
    values = page.evaluate(
        "(name) => Array.from(window.__viserSceneTree?.getState()[name]?.message.props.buffer ?? [])", name
    )
    return np.array(values, np.uint32).reshape(-1, 8)


def screenshot(page: Page, name: str) -> Path:
    """Kept in tests/artefacts for people to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    path = ARTEFACTS / f"{name}.png"
    page.screenshot(path=path)
    return path


def still(page: Page, name: str, seconds: float = 20.0) -> np.ndarray:
    """[H, W] grey, 0 to 255: the page as soon as two screenshots half a second apart are alike."""
    end, last = time.monotonic() + seconds, np.zeros(0)
    while True:
        picture = np.asarray(Image.open(screenshot(page, name)).convert("L"), dtype=float)
        if picture.shape == last.shape and np.abs(picture - last).mean() < 0.01:
            return picture
        assert time.monotonic() < end, f"the page still changes after {seconds:g} s"
        last = picture
        page.wait_for_timeout(500)


__all__ = [
    "ARTEFACTS",
    "CHROMIUM",
    "HARMLESS",
    "PLAN",
    "Swimming",
    "browser",
    "chromium",
    "fish",
    "fish_clip",
    "opened",
    "screenshot",
    "serving",
    "splats",
    "still",
    "wait_for_splats",
]
