"""Small moving objects and quick settings that many tests share."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from ar4d.clip import Clip, Crop
from ar4d.presets import CPU
from ar4d.settings import Settings
from ar4d.threads import available_cores
from tests.support.hub_mirror import mirror as mirror  # a fixture
from tests.support.marks import add_marks

SIZE = 64

# The pictures are tiny: a second thread costs more than it brings. Child processes compute with as many
# threads, because torch's sums, and so a run's bits, depend on their number.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks slow tests and those that need a browser, a GPU or the golden files; puts slow files first."""
    add_marks(items)


def pytest_xdist_auto_num_workers() -> int:
    """One more than the processors for `-n auto`: tests with a browser or a server wait half their time."""
    return available_cores() + 1


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Undoes what a test before may have done to the number of threads, before any fixture computes."""
    torch.set_num_threads(1)


def ball_frames(num_frames: int = 4, size: int = SIZE) -> np.ndarray:
    """[F, S, S, 4] uint8: a two-coloured ball with an antialiased rim that moves to the right."""
    ys, xs = np.mgrid[:size, :size] + 0.5
    frames = np.zeros((num_frames, size, size, 4), np.uint8)
    for k in range(num_frames):
        x, y = xs - size * (0.42 + 0.03 * k), ys - size / 2
        alpha = np.clip(size * 0.27 - np.hypot(x, y) + 0.5, 0, 1)
        stripes = 0.5 + 0.5 * np.sin(x / size * 25)
        color = np.stack([0.8 - 0.5 * stripes, 0.3 + 0.4 * stripes, np.where(y > 0, 0.7, 0.2)], -1)
        frames[k, ..., :3] = np.round(255 * color * (alpha > 0)[..., None])
        frames[k, ..., 3] = np.round(255 * alpha)
    return frames


def make_clip(num_frames: int = 4, size: int = SIZE) -> Clip:
    return Clip(
        frames=ball_frames(num_frames, size),
        fps=10.0,
        crop=Crop(0.0, 0.0, float(size), size, size),
        source="ball",
        matting="alpha",
        warnings=(),
    )


def quick(settings: Settings = CPU) -> Settings:
    """The same method with a few steps on a few Gaussians: a second or two in all."""
    return replace(
        settings,
        size=SIZE,
        pseudo_size=32,
        device="cpu",
        initialize=replace(settings.initialize, gaussians=600, iterations=30),
        generate=replace(
            settings.generate,
            iterations=20,
            steps_per_degree=0.1,
            pseudo_every=10,
            field=replace(settings.generate.field, nodes=48, width=32),
        ),
        refine=replace(
            settings.refine,
            iterations=60,
            warm_start=min(settings.refine.warm_start, 24),
            field=replace(settings.refine.field, nodes=48, width=32),
        ),
    )


@pytest.fixture
def clip() -> Clip:
    return make_clip()


@pytest.fixture
def settings() -> Settings:
    return quick()
