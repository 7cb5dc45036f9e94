"""The protocol between a browser and a viewer: one websocket per visitor.

The browser sends questions (JSON, see `Question`), each with an `id` that it chooses.
The answer is binary: the id as uint32, four bytes of padding, then the data. If there is no answer, the
viewer sends JSON `{"id": …, "error": "one sentence"}`. The viewer also sends `{"state": …}` at the start
and whenever the run changes.

The browser asks for what it wants to show now and waits for the answer before it asks again, so that no
outdated data is transferred (web/source.js).
"""

from __future__ import annotations

import asyncio
import logging
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from app.viewer.live import Layout, Mode, View
from app.viewer.run_viewer import RunViewer
from ar4d.errors import UserError
from ar4d.events import Stage

CLOSED = 4404  # close code of a websocket whose viewer does not exist or no longer exists
CLOSED_REASON = "This viewer is closed; open the run again from its page."
MALFORMED = 1007

_workers = ThreadPoolExecutor(
    2, thread_name_prefix="ar4d-viewer"
)  # bounded, so that visitors cannot overload the machine
_log = logging.getLogger(__name__)

Unit = Annotated[float, Field(ge=0, le=1)]


class Splats(BaseModel):
    """A request for packed splats (splats.py)."""

    id: int = Field(ge=0, lt=2**32)
    want: Literal["splats"]
    stage: Stage
    position: float = Field(ge=0, le=1e6, allow_inf_nan=False)  # in frames

    def answer(self, viewer: RunViewer) -> bytes:
        """The data to send."""
        return viewer.splats(self.stage, self.position)


class Picture(BaseModel):
    """A request for a JPEG drawn by the server; with two stages, the size is that of one half."""

    id: int = Field(ge=0, lt=2**32)
    want: Literal["picture"]
    stages: list[Stage] = Field(min_length=1, max_length=2)
    layout: Layout
    position: float = Field(ge=0, le=1e6, allow_inf_nan=False)
    viewmat: list[Annotated[float, Field(allow_inf_nan=False)]] = Field(min_length=16, max_length=16)
    fov: float = Field(gt=1, lt=170)  # vertical, degrees
    width: int = Field(ge=1, le=8192)
    height: int = Field(ge=1, le=8192)
    mode: Mode
    background: tuple[Unit, Unit, Unit]
    quality: int = Field(ge=10, le=95)

    def answer(self, viewer: RunViewer) -> bytes:
        """The data to send."""
        view = View(tuple(self.viewmat), self.fov, self.width, self.height, self.mode, self.background)
        return viewer.picture(self.stages, self.position, view, self.layout, self.quality)


class Input(BaseModel):
    """A request for a frame of the clip as PNG."""

    id: int = Field(ge=0, lt=2**32)
    want: Literal["input"]
    frame: int

    def answer(self, viewer: RunViewer) -> bytes:
        """The data to send."""
        return viewer.input_frame(self.frame)


class Recorded(BaseModel):
    """A request for the recording of the finished asset: a uint32, as many bytes of JSON, the data."""

    id: int = Field(ge=0, lt=2**32)
    want: Literal["recording"]

    def answer(self, viewer: RunViewer) -> bytes:
        """The data to send."""
        return viewer.recording()


Question = Splats | Picture | Input | Recorded
_question: TypeAdapter[Question] = TypeAdapter(Annotated[Question, Field(discriminator="want")])


async def converse(websocket: WebSocket, viewer: RunViewer) -> None:
    """Serves one visitor until either side closes the connection."""
    await websocket.accept()
    sending = asyncio.Lock()
    sending_state = asyncio.create_task(_send_states(websocket, viewer, sending))
    try:
        while True:
            question = _question.validate_json(await websocket.receive_text())
            await _answer(websocket, viewer, question, sending)
    except (ValidationError, KeyError):  # KeyError: Starlette's, for a binary message
        await close(websocket, MALFORMED, "A question to the viewer could not be read; reload the page.")
    except (WebSocketDisconnect, RuntimeError) as error:
        if isinstance(error, RuntimeError) and websocket.application_state == WebSocketState.CONNECTED:
            raise  # not a connection that was closed meanwhile
    finally:
        sending_state.cancel()


async def close(websocket: WebSocket, code: int, reason: str) -> None:
    """Closes a websocket with a code for the page, even if it was not accepted yet."""
    if websocket.application_state == WebSocketState.CONNECTING:
        # A refused handshake carries no code, and browsers require one of their subprotocols.
        await websocket.accept(subprotocol=next(iter(websocket.scope["subprotocols"]), None))
    if websocket.application_state == WebSocketState.CONNECTED:
        await websocket.close(code, reason)


async def _answer(websocket: WebSocket, viewer: RunViewer, question: Question, sending: asyncio.Lock) -> None:
    try:
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(_workers, question.answer, viewer)
    except UserError as error:
        await _send(websocket, sending, {"id": question.id, "error": str(error)})
    except Exception as error:  # noqa: BLE001 (a failed render must not end the connection)
        _log.exception("A viewer could not answer %s", question.want)
        sentence = f"This view could not be drawn ({type(error).__name__}: {error})."
        await _send(websocket, sending, {"id": question.id, "error": sentence})
    else:
        await _send(websocket, sending, struct.pack("<II", question.id, 0) + data)


async def _send_states(websocket: WebSocket, viewer: RunViewer, sending: asyncio.Lock) -> None:
    """Sends the state at once and after each change, and closes the connection with the viewer."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    unsubscribe = viewer.subscribe(lambda: _wake(loop, changed))
    try:
        while not viewer.closed:
            await _send(websocket, sending, {"state": viewer.state()})
            await changed.wait()
            changed.clear()
        await close(websocket, CLOSED, CLOSED_REASON)
    except (WebSocketDisconnect, RuntimeError):
        _log.debug("A visitor left while the state was being sent.")
    finally:
        unsubscribe()


def _wake(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(changed.set)


async def _send(websocket: WebSocket, sending: asyncio.Lock, message: dict | bytes) -> None:
    async with sending:
        if isinstance(message, bytes):
            await websocket.send_bytes(message)
        else:
            await websocket.send_json(message)
