from __future__ import annotations

import asyncio
import gzip
import io
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import gradio as gr
import numpy as np
import psutil
import pytest
import uvicorn
from PIL import Image
from websockets.asyncio.client import connect

from app.server import Viewers, launch
from app.viewer import RunViewer
from app.viewer.protocol import CLOSED, CLOSED_REASON
from ar4d.events import FrameFinished
from ar4d.player.page import CLIENT
from ar4d.player.pictures import POSTER_SIZE
from tests.support.browser import fish, serving


def get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def websocket(address: str) -> connect:
    return connect(address.replace("http", "ws"), max_size=None)


async def closing_of(address: str) -> tuple[int, str]:
    """The code and reason with which the server ends a connection that only listens."""
    async with websocket(address) as connection:
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
        for name in ("main.js", "stage.css", CLIENT):
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
        assert asyncio.run(closing_of(unknown + "stream")) == (CLOSED, CLOSED_REASON)


def test_serves_a_poster_of_what_is_finished(viewers):
    with one_viewer(viewers) as (_, address):
        assert 'src="poster.webp"' in get(address)[1]
        with urllib.request.urlopen(f"{address}poster.webp") as answer:
            picture = np.asarray(Image.open(io.BytesIO(answer.read())))
        assert picture.shape == (POSTER_SIZE, POSTER_SIZE, 4)
        assert picture[0, 0, 3] == 0
        assert picture[..., 3].max() > 200


def test_there_is_no_poster_of_nothing(viewers):
    path = viewers.add(RunViewer(None))
    with serving(viewers) as root:
        assert "poster.webp" not in get(root + path)[1]
        assert get(f"{root}{path}poster.webp")[0] == 404


def test_the_client_is_sent_once_and_compressed(viewers):
    with one_viewer(viewers) as (_, address):
        request = urllib.request.Request(f"{address}web/{CLIENT}", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request) as answer:
            body = answer.read()
            assert answer.headers["Content-Encoding"] == "gzip"
            assert "max-age" in answer.headers["Cache-Control"]
        assert len(body) < 700_000
        assert gzip.decompress(body).decode() == get(f"{address}web/{CLIENT}")[1]


def test_closing_a_viewer_says_goodbye_to_its_watchers(viewers):
    async def watch(address: str, close) -> list[tuple[int, str]]:
        watchers = [asyncio.create_task(closing_of(address + "stream")) for _ in range(2)]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(close)
        return await asyncio.gather(*watchers)

    with one_viewer(viewers) as (viewer, address):
        watchers = asyncio.run(watch(address, lambda: viewers.close(viewer.id)))
        assert watchers == [(CLOSED, CLOSED_REASON)] * 2
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
        async with websocket(address + "stream") as stream:
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
        assert asyncio.run(closing_of(f"{root}/viewer/guessed/stream"))[0] == CLOSED
    finally:
        demo.close()


def free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
