"""Which pages have been restored: what a visitor does before waits until his has been."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import gradio as gr

from app.page.session import to_gradio_error
from ar4d.errors import UserError

PATIENCE = 120.0  # seconds


class Arrivals:
    """The connections of open pages.

    A page is restored by one event and takes a clip by another, and Gradio does not keep their order: the
    session that comes last would win, and with it the draft of one or of no visitor. So the second starts
    when the first has reached the browser, and reads the session from there.
    """

    def __init__(self) -> None:
        self._restored: dict[str, Future[None]] = {}

    def finish(self, request: gr.Request) -> None:
        """Notes that the page has what was restored."""
        future = self._of(request)
        if not future.done():
            future.set_result(None)

    def leave(self, request: gr.Request) -> None:
        """Forgets a page that was closed."""
        future = self._restored.pop(request.session_hash or "", None)
        if future is not None:
            future.cancel()

    async def wait(self, request: gr.Request) -> None:
        """Returns when the page has been restored.

        Raises:
            gr.Error: that did not happen in time.
        """
        waiting = asyncio.shield(asyncio.wrap_future(self._of(request)))
        try:
            await asyncio.wait_for(waiting, PATIENCE)
        except TimeoutError as error:
            late = UserError("The page did not open completely; reload it.")
            raise to_gradio_error(late) from error

    async def choice(self, event: gr.EventData, request: gr.Request) -> str:
        """The name that was clicked, when the page has been restored."""
        await self.wait(request)
        data: dict[str, Any] = event._data
        return str(data.get("name"))

    def _of(self, request: gr.Request) -> Future[None]:
        return self._restored.setdefault(request.session_hash or "", Future())
