"""A headless Chromium, and a server for viewers."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from playwright.sync_api import Browser, Frame, Page, sync_playwright
from starlette.applications import Starlette

from app.server import Viewers, routes, websocket_options

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
HARMLESS = ("GPU stall", "GL Driver Message")


@contextmanager
def serving(viewers: Viewers, prefix: str = "") -> Iterator[str]:
    """Serve the viewers' routes on a free port; yields the server's root address.

    Args:
        viewers: to serve; closed at the end.
        prefix: path that a reverse proxy would show the server under and strip from requests.
    """
    app = Starlette(routes=routes(viewers))

    async def behind_proxy(scope, receive, send):
        assert scope["path"].startswith(prefix), scope["path"]
        await app({**scope, "path": scope["path"].removeprefix(prefix)}, receive, send)

    server = uvicorn.Server(
        uvicorn.Config(behind_proxy, port=0, log_level="warning", lifespan="off", **websocket_options())
    )
    thread = threading.Thread(target=server.run, daemon=True, name="server")
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}{prefix}"
    finally:
        viewers.close_all()
        server.should_exit = True
        thread.join(5)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser whose software WebGL can draw a few thousand splats."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, address: str, width: int = 480, height: int = 400, **options) -> Iterator[Page]:
    """A page at an address; errors in its console are raised at the end."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    try:
        page.goto(address)
        yield page
        serious = [c for c in complaints if not any(known in c for known in HARMLESS)]
        assert not serious, serious
    finally:
        context.close()


def wait_for_splats(
    page: Page | Frame, more_than: int = 1, name: str = "/left", timeout_s: float = 30
) -> None:
    """Wait until viser's scene has more than `more_than` splats under a name."""
    page.wait_for_function(
        "([name, n]) => window.__viserSceneTree?.getState()[name]?.message.props.buffer.length / 8 > n",
        arg=[name, more_than],
        timeout=timeout_s * 1000,
    )
