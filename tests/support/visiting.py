"""The page in a browser, as a visitor opens it, and a visitor's first steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from app.main import Server
from tests.support.browser import ARTEFACTS, HARMLESS

PATIENCE = 240_000  # milliseconds; every wait ends as soon as it can
RELOADED = ("AbortError", "Connection errored out")  # Gradio's, of streams that a reload ends
DESK, WIDE, NARROW = (1440, 900), (1000, 640), (390, 844)
LOOKS = [(DESK, "light"), (DESK, "dark"), (NARROW, "light"), (NARROW, "dark")]


@contextmanager
def visit(
    browser: Browser,
    server: Server,
    size: tuple[int, int] = WIDE,
    expected: tuple[str, ...] = (),
    **options: Any,
) -> Iterator[Page]:
    """The page, opened by a new visitor, or by one with a `storage_state`.

    Errors in the console that are not `expected` fail the test. Nothing plays by itself
    (`reduced_motion`), because software WebGL would slow the workers down.
    """
    expect.set_options(timeout=PATIENCE)
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


def upload(page: Page, path: Path) -> None:
    """Gives the page a file."""
    page.get_by_role("tab", name="1 Input").click()
    page.set_input_files("#drop input[type=file]", path)


def cut_out(page: Page, path: Path) -> None:
    """Gives the page a clip, and waits for its cut-out."""
    upload(page, path)
    page.locator("ar4d-cutout").wait_for()


def wait_for_state(page: Page, state: str) -> None:
    """Waits until the open run is "running", "finished" and so on."""
    page.locator(f".panel.{state}").wait_for(state="attached")


def keep(page: Page, name: str) -> None:
    """A screenshot for people to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"page-{name}.png", timeout=PATIENCE)
