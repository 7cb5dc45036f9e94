"""The bytes that a visit of the page transfers: requests, and messages of websockets."""

from __future__ import annotations

import time

from playwright.sync_api import Page, Request, WebSocket

PLAYS = "() => document.querySelector('iframe.viewer')?.contentWindow?.ar4d?.view?.()?.frame > 0"
"""JavaScript that is true once the page's viewer plays: its clock stands still until it shows splats."""
SPLATS = 100_000
"""Bytes of a message that must hold splats: a state or a still picture has fewer."""


class Traffic:
    """Counts from now on what a page and its frames receive."""

    def __init__(self, page: Page) -> None:
        self._started = time.monotonic()
        self._requests: list[tuple[float, Request]] = []
        self._messages: list[tuple[float, int]] = []
        page.on("requestfinished", lambda request: self._requests.append((self._now(), request)))
        page.on("websocket", self._listen)

    def _now(self) -> float:
        return time.monotonic() - self._started

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda data: self._messages.append((self._now(), len(data))))

    def total(self, until: float = float("inf")) -> int:
        """Bytes received in the first `until` seconds, headers included."""
        sizes = [request.sizes() for at, request in list(self._requests) if at <= until]
        http = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
        return http + sum(size for at, size in self._messages if at <= until)

    def before_splats(self) -> int:
        """Bytes received until the first splats came.

        Raises:
            ValueError: none has come yet.
        """
        return self.total(self._first_splats() - 1e-3)

    def files_before_splats(self) -> list[str]:
        """Addresses of what was received whole until the first splats came.

        Raises:
            ValueError: none has come yet.
        """
        return [request.url for at, request in self._requests if at < self._first_splats()]

    def _first_splats(self) -> float:
        return min(at for at, size in self._messages if size > SPLATS)
