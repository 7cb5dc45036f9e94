"""One port: Gradio's page, the viewers' pages and their websockets."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import PurePath
from typing import Any

import gradio as gr
import uvicorn
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from app.headers import viewer_headers
from app.memory import give_back
from app.viewer import RunViewer
from app.viewer.protocol import CLOSED, CLOSED_REASON, close, converse
from ar4d.errors import UserError
from ar4d.player.page import CLIENT, FILES, MEDIA_TYPES, PageText, message_page, served_page, viser_client

MAX_MESSAGE = 64 << 20  # bytes of one websocket message


@dataclass
class _Entry:
    viewer: RunViewer
    keep: bool
    connections: int = 0
    last_seen: float = 0.0  # time.monotonic() when the last connection ended


class Viewers:
    """All open viewers. A viewer without visitors is closed after a while."""

    def __init__(self, idle_seconds: float = 1800.0) -> None:
        self.idle_seconds = idle_seconds
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._reaper: threading.Thread | None = None

    def add(self, viewer: RunViewer, keep: bool = False) -> str:
        """Adds a viewer.

        Args:
            keep: do not close it when it is idle.

        Returns:
            Its path below the server's root, "/viewer/<id>/".
        """
        with self._lock:
            self._entries[viewer.id] = _Entry(viewer, keep, last_seen=time.monotonic())
            if self._reaper is None:
                self._reaper = threading.Thread(
                    target=self._reap_now_and_then, daemon=True, name="ar4d-reaper"
                )
                self._reaper.start()
        return f"/viewer/{viewer.id}/"

    def get(self, id: str) -> RunViewer | None:
        """The viewer with an id; None if there is none."""
        entry = self._entries.get(id)
        return entry.viewer if entry else None

    def close(self, id: str) -> None:
        """Closes a viewer, its server and its connections; an unknown id is ignored."""
        with self._lock:
            entry = self._entries.pop(id, None)
        if entry:
            entry.viewer.close()

    def close_all(self) -> None:
        """Closes all viewers."""
        self._stop.set()
        for id in list(self._entries):
            self.close(id)

    def reap(self) -> None:
        """Closes the viewers that have been idle for too long."""
        limit = time.monotonic() - self.idle_seconds
        with self._lock:
            idle = [
                id
                for id, entry in self._entries.items()
                if not entry.keep and entry.connections == 0 and entry.last_seen <= limit
            ]
        for id in idle:
            self.close(id)

    @contextmanager
    def watching(self, id: str) -> Iterator[RunViewer | None]:
        """Counts a connection to a viewer while it lasts; yields None if there is no such viewer."""
        with self._lock:
            entry = self._entries.get(id)
            if entry:
                entry.connections += 1
        try:
            yield entry.viewer if entry else None
        finally:
            if entry:
                with self._lock:
                    entry.connections -= 1
                    entry.last_seen = time.monotonic()
                if entry.connections == 0:
                    entry.viewer.rest()

    def __len__(self) -> int:
        return len(self._entries)

    def connections(self) -> int:
        """Number of open connections to all viewers."""
        return sum(entry.connections for entry in list(self._entries.values()))

    def _reap_now_and_then(self) -> None:
        while not self._stop.wait(min(60.0, self.idle_seconds / 2)):
            self.reap()
            give_back()


_CACHED = {"Cache-Control": "max-age=86400"}


@cache
def _zipped_client() -> bytes:
    return gzip.compress(viser_client().encode())


def routes(viewers: Viewers) -> list[BaseRoute]:
    """The routes of the viewers.

    All addresses are relative, so that a reverse proxy may serve them under any prefix.
    """

    def page(request: Request) -> Response:
        viewer = viewers.get(request.path_params["id"])
        if viewer is None:
            return HTMLResponse(message_page(CLOSED_REASON, home="../../"), 404)
        text = PageText(poster="poster.webp" if viewer.has_poster else "")
        return HTMLResponse(served_page(text), headers=viewer_headers())

    def poster(request: Request) -> Response:
        viewer = viewers.get(request.path_params["id"])
        try:
            picture = viewer.poster() if viewer else None
        except UserError:
            picture = None
        if picture is None:
            return HTMLResponse(message_page("There is no picture here."), 404)
        return Response(picture, media_type="image/webp", headers={"Cache-Control": "max-age=60"})

    async def with_slash(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{request.path_params['id']}/{query}")

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name == CLIENT and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                _zipped_client(), headers=_CACHED | {"Content-Encoding": "gzip"}, media_type="text/html"
            )
        if name == CLIENT:
            return Response(viser_client(), headers=_CACHED, media_type="text/html")
        if name not in FILES:
            return HTMLResponse(message_page(f"There is no {name} here."), 404)
        media_type = MEDIA_TYPES[PurePath(name).suffix]
        return Response(FILES[name], media_type=media_type, headers={"Cache-Control": "max-age=300"})

    async def stream(websocket: WebSocket) -> None:
        with viewers.watching(websocket.path_params["id"]) as viewer:
            if viewer is None:
                return await close(websocket, CLOSED, CLOSED_REASON)
            await converse(websocket, viewer)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "viewers": len(viewers), "connections": viewers.connections()})

    return [
        Route("/healthz", health),
        Route("/viewer/{id}", with_slash),
        Route("/viewer/{id}/", page),
        Route("/viewer/{id}/poster.webp", poster),
        Route("/viewer/{id}/web/{name}", file),
        WebSocketRoute("/viewer/{id}/stream", stream),
    ]


def launch(
    demo: gr.Blocks,
    viewers: Viewers,
    host: str,
    port: int,
    root_path: str | None = None,
    **launch_kwargs: Any,
) -> Any:
    """Serves the page and the viewers on one port; returns what `demo.launch` returns.

    Args:
        root_path: prefix under which a reverse proxy serves the page, if the proxy does not send it.
        launch_kwargs: further arguments of `gr.Blocks.launch`.
    """
    # Server-side rendering would put Node in front, which does not forward websockets.
    app_kwargs = launch_kwargs.pop("app_kwargs", {})
    app_kwargs["routes"] = [*routes(viewers), *app_kwargs.get("routes", [])]
    with _plain_websockets():
        return demo.launch(
            server_name=host,
            server_port=port,
            root_path=root_path,
            ssr_mode=False,
            _frontend=False,  # else it gives up if a busy machine does not answer within three seconds
            app_kwargs=app_kwargs,
            **launch_kwargs,
        )


@contextmanager
def _plain_websockets() -> Iterator[None]:
    """Turns off the compression of websocket messages while Gradio configures uvicorn.

    Splat buffers do not compress, and uvicorn would spend three quarters of its time on the attempt.
    `launch` has no option for it, but builds its configuration with `uvicorn.Config`.
    """
    config = uvicorn.Config
    uvicorn.Config = partial(config, **websocket_options())  # type: ignore[misc]
    try:
        yield
    finally:
        uvicorn.Config = config  # type: ignore[misc]


def websocket_options() -> dict[str, Any]:
    """Options of uvicorn that the viewers need, and a bound on the server's end."""
    # Browsers keep streams open for as long as they are there: the server's end does not wait for them.
    return {"ws_per_message_deflate": False, "ws_max_size": MAX_MESSAGE, "timeout_graceful_shutdown": 1}
