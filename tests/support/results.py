"""A served page whose every visitor is the same one, and that visitor's finished runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from playwright.sync_api import Browser, Locator, Page

from app.main import Server
from app.runs import storage
from app.service import Service
from tests.support.browser import ARTEFACTS, HARMLESS
from tests.support.finished import finished_run
from tests.support.lifting import TOKEN, serving_page
from tests.support.moving import SpinningBall

PATIENCE = 180_000  # milliseconds; every wait ends as soon as it can
RELOADED = ("AbortError", "Connection errored out")  # Gradio's, of streams that a reload ends


def add_run(service: Service, name: str, asset: Any = None, token: str = TOKEN) -> Path:
    """A finished run of a visitor."""
    folder = service.storage.new_run(token)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run = finished_run(folder, asset or SpinningBall())
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


@contextmanager
def visit(
    browser: Browser,
    server: Server,
    size: tuple[int, int] = (1440, 900),
    expected: tuple[str, ...] = (),
    **options: Any,
) -> Iterator[Page]:
    """The page of `server`; errors in its console that are not `expected` fail the test."""
    known = (*HARMLESS, *RELOADED, *expected)
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, reduced_motion="reduce", **options)  # type: ignore[arg-type]
    page, complaints = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    try:
        page.goto(server.address)
        page.locator("#steps [role=tab]").first.wait_for()
        yield page
        serious = [c for c in complaints if not any(text in c for text in known)]
        assert not serious, serious
    finally:
        context.close()


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


def keep(page: Page, name: str) -> None:
    """A screenshot for people to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"result-{name}.png", timeout=PATIENCE)
