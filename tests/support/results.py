"""A served page whose every visitor is the same one, and that visitor's finished runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from playwright.sync_api import Locator, Page

from app.main import Server
from app.runs import storage
from app.service import Service
from tests.support.finished import finished_run
from tests.support.lifting import TOKEN, serving_page
from tests.support.moving import SpinningBall


def add_run(
    service: Service, name: str, asset: Any = None, token: str = TOKEN, elevation_deg: float = 0.0
) -> Path:
    """A finished run of a visitor."""
    folder = service.storage.new_run(token)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run = finished_run(folder, asset or SpinningBall(), elevation_deg)
    for k, t in enumerate((0.0, 0.5, 1.0)):
        path = run.frame_path(k)
        path.parent.mkdir(parents=True, exist_ok=True)
        run.asset().at(t).save(path)
    storage.create_job_record(folder, name, name)
    return folder


@contextmanager
def serving_one_visitor(root: Path) -> Iterator[Server]:
    """A server for browsers that store nothing yet: each gets the token `TOKEN`."""
    with mock.patch.object(storage, "new_token", return_value=TOKEN), serving_page(root) as server:
        yield server


def open_run(page: Page, name: str) -> None:
    """Opens a run from the list, and waits until its result and its viewer are shown."""
    page.get_by_role("tab", name="Runs").click()
    card = page.locator(".runs .card", has_text=name)
    card.get_by_role("button", name="Open").click()
    page.locator("ar4d-exports article").first.wait_for()
    wait_for_view(page)


def wait_for_view(page: Page) -> None:
    """Waits until the viewer shows something."""
    page.wait_for_function('() => document.querySelector("iframe.viewer")?.contentWindow?.ar4d?.view?.()')


def card(page: Page, format: str) -> Locator:
    """The card of a format."""
    return page.locator(f"ar4d-exports article[data-format={format}]")
