"""The page's own document: what other programs show of a link to it, and its compression."""

from __future__ import annotations

import gzip
import re
from html import escape

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.share import own_address

TITLE = "AR4D"
DESCRIPTION = "A video of an object goes in, a moving 3D object comes out: turn it, and play it at any speed."
PICTURE = "preview.jpg"
_TAGS = re.compile(rb'<meta\s[^>]*(?:property="og:|name="twitter:)[^>]*>')


class FrontPage:
    """ASGI middleware that replaces the previews in the page's document, which Gradio fills with its own.

    It compresses the document as well: that is the largest text of the first visit.
    """

    def __init__(self, app: ASGIApp, picture: bool) -> None:
        """
        Args:
            picture: whether the server has a picture under `PICTURE`.
        """
        self._app, self._picture = app, picture

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; the answer to one for the page's document is changed."""
        root = scope.get("root_path", "").rstrip("/")
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in ("/", f"{root}/"):
            await self._app(scope, receive, send)
            return
        start: Message = {}
        content = bytearray()

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            content.extend(message.get("body", b""))
            if not message.get("more_body"):
                body = self._finish(scope, start, bytes(content))
                await send(start)
                await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, collect)

    def _finish(self, scope: Scope, start: Message, content: bytes) -> bytes:
        """The body to send; `start` gets its headers."""
        headers = MutableHeaders(scope=start)
        if not headers.get("content-type", "").startswith("text/html") or "content-encoding" in headers:
            return content
        content = _TAGS.sub(b"", content).replace(b"<head>", b"<head>" + self._tags(Request(scope)), 1)
        if "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            content = gzip.compress(content, 6)
            headers["Content-Encoding"] = "gzip"
        headers.add_vary_header("Accept-Encoding")
        headers["Content-Length"] = str(len(content))
        return content

    def _tags(self, request: Request) -> bytes:
        facts = {"type": "website", "site_name": TITLE, "title": TITLE, "description": DESCRIPTION}
        if self._picture:
            facts["image"] = own_address(request) + PICTURE
        tags = [f'<meta property="og:{name}" content="{escape(fact)}">' for name, fact in facts.items()]
        tags.append(f'<meta name="description" content="{DESCRIPTION}">')
        return "".join(tags).encode()
