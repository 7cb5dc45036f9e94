"""The headers of every answer, and the content policy of the viewers' pages: one place for both.

`AR4D_FRAME_ANCESTORS` names the sites that may show the page in a frame, as "'self' https://lab.example".
`AR4D_VIEWER_POLICY` replaces the viewers' content policy; empty switches it off.
"""

from __future__ import annotations

import os

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SPACE_ANCESTORS = "'self' https://huggingface.co https://*.hf.space"
VIEWER_POLICY = "; ".join(
    (
        "default-src 'none'",
        # The page holds its scripts inline. viser's sorter of splats is a worker made of a blob, whose
        # WebAssembly bindings are functions made of strings.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "worker-src 'self' blob:",
        "connect-src 'self' ws: wss: data: blob:",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "style-src 'self' 'unsafe-inline'",
        "font-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)


def frame_ancestors() -> str:
    """The sites that may show this server's pages in a frame: its own, and the Hub's where it is a Space."""
    usual = SPACE_ANCESTORS if os.environ.get("SPACE_ID") else "'self'"
    return os.environ.get("AR4D_FRAME_ANCESTORS", usual)


def viewer_headers(shared: bool = False) -> dict[str, str]:
    """Headers of a viewer's page.

    Args:
        shared: the page of a shared link, which any site may embed: it shows a run and changes nothing.
    """
    policy = os.environ.get("AR4D_VIEWER_POLICY", VIEWER_POLICY)
    ancestors = "*" if shared else frame_ancestors()
    return {"Content-Security-Policy": f"{policy}; frame-ancestors {ancestors}"} if policy else {}


class SecurityHeaders:
    """ASGI middleware that adds the headers to every answer; one that a route has set stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", f"frame-ancestors {frame_ancestors()}")
                headers.setdefault("X-Content-Type-Options", "nosniff")
                # The address of a shared run is its secret.
                headers.setdefault("Referrer-Policy", "same-origin")
                headers.setdefault("Permissions-Policy", "camera=(self), geolocation=(), microphone=(self)")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
