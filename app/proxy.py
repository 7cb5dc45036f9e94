"""Relays a browser's websocket to a viser server on this machine."""

from __future__ import annotations

import asyncio

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


async def relay(websocket: WebSocket, port: int) -> None:
    """Forwards messages and the close code between the two until either side closes.

    viser recognises its client by the subprotocol, so the browser's subprotocols are offered to viser and
    the chosen one is accepted. Sizes are not limited and nothing is compressed, because splat buffers are
    large and do not compress.

    Raises:
        OSError: nothing listens on the port.
    """
    protocols = [Subprotocol(p) for p in websocket.scope["subprotocols"]]
    async with connect(
        f"ws://127.0.0.1:{port}",
        subprotocols=protocols or None,
        max_size=None,
        compression=None,
        proxy=None,
        close_timeout=1,
    ) as upstream:
        await websocket.accept(subprotocol=upstream.subprotocol)
        directions = [
            asyncio.create_task(_up(websocket, upstream)),
            asyncio.create_task(_down(websocket, upstream)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)


async def _up(websocket: WebSocket, upstream: ClientConnection) -> None:
    """Browser to viser."""
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                await upstream.close(_sendable(message.get("code")), message.get("reason") or "")
                return
            await upstream.send(message["text"] if message.get("bytes") is None else message["bytes"])
    except ConnectionClosed:
        return  # `_down` closes with the reason


async def _down(websocket: WebSocket, upstream: ClientConnection) -> None:
    """viser to browser."""
    try:
        async for message in upstream:
            if isinstance(message, str):
                await websocket.send_text(message)
            else:
                await websocket.send_bytes(message)
    except ConnectionClosed:
        pass  # its code is forwarded below
    except (WebSocketDisconnect, RuntimeError):
        return  # the browser has gone
    if websocket.application_state == WebSocketState.CONNECTED:
        await websocket.close(_sendable(upstream.close_code), upstream.close_reason or "")


def _sendable(code: int | None) -> int:
    """A close code that may be sent; codes such as 1006 mean that none was received."""
    return 1001 if code in (None, 1005, 1006, 1015) else int(code)
