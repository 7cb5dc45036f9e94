"""A visitor who does not wait until a slow page has been restored."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from app.page.layout import Page
from app.runs.limits import Limits
from tests.support.browser import CHROMIUM
from tests.support.lifting import disk_video, serving_page
from tests.support.visiting import upload, visit

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_a_clip_chosen_before_the_page_is_restored_is_kept(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored, opened, may_open = threading.Event(), Page.open, threading.Event()

    def open_late(self: Page, *arguments: Any) -> list[Any]:
        may_open.wait(120)
        restored.set()
        return opened(self, *arguments)

    monkeypatch.setattr(Page, "open", open_late)
    clip = disk_video(tmp_path, num_frames=3)
    with serving_page(tmp_path / "runs", Limits()) as server, visit(browser, server) as page:
        upload(page, clip)
        page.locator("ar4d-cutout").wait_for()
        may_open.set()
        assert restored.wait(60)
        page.wait_for_timeout(1500)  # what was restored has come to the page by now
        assert page.locator("ar4d-cutout").is_visible()
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#generate")).to_be_enabled()
