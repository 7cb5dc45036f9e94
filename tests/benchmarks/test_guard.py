"""The quick subset of the benchmark against its committed figures."""

from unittest import mock

from ar4d import presets
from ar4d.bench import guard as figures
from benchmarks import guard


def test_unseen_views_are_no_worse_than_the_committed_figures(tmp_path):
    """LPIPS is compared where `AR4D_LPIPS` names its weights."""
    with mock.patch.dict(presets.PRESETS):
        found = guard.measure(tmp_path, guard.SEEDS[:1])
    committed = figures.read_figures(guard.FIGURES)
    assert committed["seeds"] == list(guard.SEEDS)
    assert set(figures.not_compared(found, committed)) <= {"lpips"}
    assert figures.worse(found, committed) == []


def test_the_committed_figures_have_lpips():
    committed = figures.read_figures(guard.FIGURES)
    assert set(committed["variants"]["full"]) == {"psnr", "iou", "lpips"}
