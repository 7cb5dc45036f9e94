"""Marks that tests get by what they need: see the markers in pyproject.toml.

`pytest -m "not slow and not browser"` is the quick loop. A test is slow if it takes more than five seconds of
a quiet core, kernels compiled beforehand, or if it waits for other processes.
"""

from __future__ import annotations

import pytest

SLOW = (
    "tests/app/test_api.py",
    "tests/app/test_queue.py",
    "tests/app/test_server.py",
    "tests/cli/test_cli.py::test_ctrl_c_keeps_what_is_done_and_resume_goes_on",
    "tests/cli/test_cli.py::test_lift_makes_a_finished_run",
    "tests/experts/embedded/test_embedded.py::test_other_views_improve_the_sides",
)
"""Files, and tests by their name without parameters."""

NEEDS = {"hromium": "browser", "CUDA": "gpu", "AR4D_GOLDEN": "golden"}
"""Words in the reason for which a test is skipped where it cannot run, and the mark that they mean."""


def add_marks(items: list[pytest.Item]) -> None:
    """Marks the collected tests."""
    for item in items:
        place = item.nodeid.partition("[")[0]
        if place in SLOW or place.partition("::")[0] in SLOW:
            item.add_marker(pytest.mark.slow)
        for skip in item.iter_markers("skipif"):
            reason = str(skip.kwargs.get("reason", ""))
            for word, mark in NEEDS.items():
                if word in reason:
                    item.add_marker(mark)
