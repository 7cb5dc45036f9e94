"""Chromium for the tests: what the benchmarks use as well, and looking at the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from benchmarks.support.browser import CHROMIUM, HARMLESS, chromium, opened, serving, wait_for_splats
from benchmarks.support.fish import PLAN, Swimming, fish, fish_clip

ARTEFACTS = Path(__file__).parents[1] / "artefacts"


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
    "chromium",
    "fish",
    "fish_clip",
    "opened",
    "screenshot",
    "serving",
    "splats",
    "wait_for_splats",
]
