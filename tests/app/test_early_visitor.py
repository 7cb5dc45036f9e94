"""A visitor who does not wait until a slow page has been restored."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from app.page import layout
from app.runs.limits import Limits
from app.service import Service
from tests.support.browser import CHROMIUM
from tests.support.lifting import disk_video, serving_page
from tests.support.visiting import upload, visit

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def _upload(page: Page, folder: Path) -> None:
    upload(page, disk_video(folder, num_frames=3))


def _choose(page: Page, folder: Path) -> None:
    page.locator("#examples button[data-name=dinosaur]").click()


@pytest.mark.parametrize("take", [_upload, _choose])
def test_a_clip_chosen_before_the_page_is_restored_is_kept(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, take: Callable[[Page, Path], None]
) -> None:
    opened, create, may_open = layout.Page.open, Service.create_draft, threading.Event()
    order: list[str] = []

    def open_late(self: layout.Page, *arguments: Any) -> list[Any]:
        may_open.wait(120)
        order.append("restored")
        return opened(self, *arguments)

    def create_draft(self: Service, *arguments: Any, **options: Any) -> Path:
        order.append("taken")
        return create(self, *arguments, **options)

    monkeypatch.setattr(layout.Page, "open", open_late)
    monkeypatch.setattr(Service, "create_draft", create_draft)
    with serving_page(tmp_path / "runs", Limits()) as server, visit(browser, server) as page:
        take(page, tmp_path)
        page.wait_for_timeout(1500)  # the click has reached the server by now
        may_open.set()
        page.locator("ar4d-cutout").wait_for()
        assert order == ["restored", "taken"]
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#generate")).to_be_enabled()
        page.reload()
        page.locator("ar4d-cutout").wait_for()  # the draft and the stored session are one visitor's
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#generate")).to_be_enabled()
