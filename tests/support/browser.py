"""Chromium for the tests: what the benchmarks use as well, and looking at the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
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
    "wait_for_splats",
]
