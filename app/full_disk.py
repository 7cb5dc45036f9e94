"""What a visitor is told when the disk is full while a request is taken in."""

from __future__ import annotations

import errno
import logging

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FULL = (errno.ENOSPC, errno.EDQUOT)
SENTENCE = "The server's disk is full; delete runs that you do not need, then send the file again."
_log = logging.getLogger(__name__)


class FullDisk:
    """ASGI middleware: a request that the disk has no room for is answered by a sentence.

    Gradio writes uploads to the disk before any code of ours sees them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; answers 507 where the disk is full and no answer has begun."""
        answered = False

        async def watched(message: Message) -> None:
            nonlocal answered
            answered = answered or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except OSError as problem:
            if problem.errno not in FULL or answered or scope["type"] != "http":
                raise
            _log.warning("The disk is full: %s was refused", scope["path"])
            await JSONResponse({"detail": SENTENCE}, status_code=507)(scope, receive, send)
