"""axe-core's rules on the page, in each step, light and dark, at a desk and on a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support.accessibility import serious_findings
from tests.support.browser import CHROMIUM
from tests.support.lifting import disk_video
from tests.support.npm import needs_npm
from tests.support.results import add_run, open_run, serving_one_visitor
from tests.support.visiting import LOOKS, cut_out, visit

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    needs_npm,
]


def check(page: Page) -> None:
    """Fails on a serious finding in any look of what the page shows now."""
    for (width, height), theme in LOOKS:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
        page.wait_for_timeout(400)  # colours fade
        assert serious_findings(page) == [], (width, theme)


def test_no_serious_finding_in_any_step(browser: Browser, tmp_path: Path) -> None:
    with serving_one_visitor(tmp_path / "runs") as server, visit(browser, server) as page:
        add_run(server.service, "ball.mp4")
        for step in ("1 Input", "4 Result", "Runs"):
            page.get_by_role("tab", name=step).click()
            check(page)
        cut_out(page, disk_video(tmp_path, num_frames=3))
        check(page)
        page.get_by_role("tab", name="3 Generate").click()
        page.get_by_role("button", name=re.compile("^Research")).click()
        check(page)
        open_run(page, "ball.mp4")
        for box in page.locator("ar4d-exports article[data-format=mp4] summary").all():
            box.click()
        page.get_by_text("Clean up: delete splats by hand").click()
        check(page)
        page.get_by_role("tab", name="Runs").click()
        page.get_by_role("button", name="Delete").click()
        check(page)
