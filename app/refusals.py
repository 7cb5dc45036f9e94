"""Answers to requests at which Gradio would fail with a bare "Internal Server Error"."""

from __future__ import annotations

import errno
import logging

from gradio.route_utils import FnIndexInferError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_DISK = "The server's disk is full; delete runs that you do not need, then send the file again."
NO_ENDPOINT = "There is no such endpoint; /gradio_api/info lists those that there are."
_log = logging.getLogger(__name__)


class Refusals:
    """ASGI middleware that answers with a sentence where the disk is full or an endpoint does not exist.

    Gradio writes uploads to the disk, and looks endpoints up, before any code of ours sees them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; refuses it with status 507 or 404 where no answer has begun."""
        answered = False

        async def watched(message: Message) -> None:
            nonlocal answered
            answered = answered or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except FnIndexInferError:
            if answered:
                raise
            await JSONResponse({"detail": NO_ENDPOINT}, status_code=404)(scope, receive, send)
        except OSError as problem:
            if problem.errno not in FULL or answered or scope["type"] != "http":
                raise
            _log.warning("The disk is full: %s was refused", scope["path"])
            await JSONResponse({"detail": FULL_DISK}, status_code=507)(scope, receive, send)
