from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import gradio as gr
import psutil
import pytest
import uvicorn
import viser
from websockets.asyncio.client import connect
from websockets.typing import Data, Subprotocol

from app.server import Viewers, launch
from app.viewer import RunViewer
from app.viewer.protocol import CLOSED, CLOSED_REASON
from ar4d.events import FrameFinished
from tests.support.browser import fish, serving

VISER = f"viser-v{viser.__version__}"


def get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def websocket(address: str, protocol: str | None = None) -> connect:
    protocols = [Subprotocol(protocol)] if protocol else None
    return connect(address.replace("http", "ws"), subprotocols=protocols, max_size=None)


async def closing_of(address: str, protocol: str | None = None) -> tuple[int, str]:
    """The code and reason with which the server ends a connection that only listens."""
    async with websocket(address, protocol) as connection:
        await asyncio.wait_for(connection.wait_closed(), 10)
        assert connection.close_code is not None
        return connection.close_code, connection.close_reason or ""


@pytest.fixture
def viewers():
    viewers = Viewers()
    yield viewers
    viewers.close_all()


@contextmanager
def one_viewer(viewers: Viewers, **kwargs):
    viewer = RunViewer(None)
    viewer.on(FrameFinished("initialize", 0, fish(0.0, 50), 20.0, 0.9, 1.0))
    path = viewers.add(viewer, **kwargs)
    with serving(viewers) as root:
        yield viewer, root + path


def test_serves_the_viewer_page_and_its_files(viewers):
    with one_viewer(viewers) as (viewer, address):
        status, page = get(address)
        assert status == 200
        assert 'id="ar4d"' in page
        assert 'id="root"' in page  # viser's own place
        assert get(address.rstrip("/"))[1] == page  # redirected
        for name in ("main.js", "style.css"):
            assert f"web/{name}" in page
            assert get(f"{address}web/{name}")[0] == 200
        assert json.loads(get(address.split("/viewer/")[0] + "/healthz")[1])["viewers"] == 1
        assert len(viewer.id) >= 32


@pytest.mark.parametrize("path", ["web/secret.py", "web/..%2f__init__.py", "web/player.html"])
def test_serves_no_other_file(viewers, path):
    with one_viewer(viewers) as (_, address):
        assert get(address + path)[0] == 404


def test_says_in_a_sentence_that_a_viewer_is_not_there(viewers):
    with one_viewer(viewers) as (viewer, address):
        unknown = address.replace(viewer.id, "x" * len(viewer.id))
        status, page = get(unknown)
        assert status == 404
        assert CLOSED_REASON in page
        for socket, protocol in ((unknown, VISER), (unknown.rstrip("/"), VISER), (unknown + "stream", None)):
            assert asyncio.run(closing_of(socket, protocol)) == (CLOSED, CLOSED_REASON)


@pytest.mark.parametrize("slash", ["", "/"])
def test_relays_the_websocket_to_viser(viewers, slash):
    async def first_message(address: str) -> Data:
        async with websocket(address, VISER) as connection:
            assert connection.subprotocol == VISER
            return await asyncio.wait_for(connection.recv(), 10)

    with one_viewer(viewers) as (_, address):
        message = asyncio.run(first_message(address.rstrip("/") + slash))
        assert isinstance(message, bytes)
        assert len(message) > 100  # viser's scene: a frame of msgpack, not an error


def test_relays_visers_own_close_code(viewers):
    with one_viewer(viewers) as (_, address):
        code, reason = asyncio.run(closing_of(address, "viser-v0.0.1"))
        assert code == 1002
        assert "0.0.1" in reason


def test_closing_a_viewer_says_goodbye_to_its_watchers(viewers):
    async def watch(address: str, close) -> list[tuple[int, str]]:
        watchers = [
            asyncio.create_task(closing_of(address + "stream")),
            asyncio.create_task(closing_of(address, VISER)),
        ]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(close)
        return await asyncio.gather(*watchers)

    with one_viewer(viewers) as (viewer, address):
        stream, scene = asyncio.run(watch(address, lambda: viewers.close(viewer.id)))
        assert stream == (CLOSED, CLOSED_REASON)
        assert scene[0] == 1001  # viser went away
        assert get(address)[0] == 404
        viewers.close(viewer.id)  # once more does nothing


def test_reaps_what_nobody_watches(viewers):
    viewers.idle_seconds = 0.05
    with one_viewer(viewers) as (viewer, _):
        kept = RunViewer(None)
        viewers.add(kept, keep=True)
        watched = RunViewer(None)
        viewers.add(watched)
        with viewers.watching(watched.id):
            time.sleep(0.1)
            viewers.reap()
            assert (viewer.closed, kept.closed, watched.closed) == (True, False, False)
        viewers.reap()
        assert not watched.closed  # it has only just been left
        time.sleep(0.1)
        viewers.reap()
        assert watched.closed
        assert viewers.get(kept.id) is kept


def test_opening_and_closing_leaks_nothing(viewers):
    async def visit(address: str) -> None:
        async with websocket(address, VISER) as scene, websocket(address + "stream") as stream:
            await scene.recv()
            await stream.recv()

    process = psutil.Process()
    with serving(viewers) as root:

        def cycle() -> None:
            viewer = RunViewer(None)
            asyncio.run(visit(root + viewers.add(viewer)))
            viewers.close(viewer.id)

        for _ in range(3):
            cycle()
        time.sleep(0.2)
        before = threading.active_count(), process.num_fds()
        for _ in range(12):
            cycle()
        time.sleep(0.5)
        after = threading.active_count(), process.num_fds()
        assert len(viewers) == 0
    assert after[0] <= before[0]
    assert after[1] <= before[1]


@pytest.mark.parametrize("root_path", [None, "/lab/4d"])
def test_gradio_and_the_viewers_share_one_port(viewers, root_path):
    with gr.Blocks() as demo:
        gr.Markdown("hello")
    config = uvicorn.Config
    viewer = RunViewer(None)
    path = viewers.add(viewer)
    _, root, _ = launch(
        demo, viewers, "127.0.0.1", free_port(), root_path, prevent_thread_lock=True, quiet=True
    )
    try:
        assert uvicorn.Config is config
        root = root.rstrip("/")
        assert "gradio" in get(root)[1]
        assert get(root + path)[0] == 200
        assert get(f"{root}/viewer/guessed/")[0] == 404

        async def extensions() -> str:
            async with connect(
                f"{root}{path}stream".replace("http", "ws")
            ) as connection:  # offers to deflate
                assert json.loads(await connection.recv())["state"]["framesDone"] == 0
                assert connection.response is not None
                return connection.response.headers.get("Sec-WebSocket-Extensions", "")

        assert asyncio.run(extensions()) == ""
        assert asyncio.run(closing_of(f"{root}/viewer/guessed", VISER))[0] == CLOSED
    finally:
        demo.close()


def free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
