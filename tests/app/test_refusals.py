"""Requests at which Gradio would fail with a bare "Internal Server Error"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.refusals import Refusals

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


async def upload(request: Any) -> PlainTextResponse:
    FULL.write_bytes(await request.body())
    return PlainTextResponse("stored")


async def stream(request: Any) -> StreamingResponse:
    def parts():
        yield "begun"
        FULL.write_bytes(b"more")

    return StreamingResponse(parts())


async def missing(request: Any) -> PlainTextResponse:
    return PlainTextResponse(Path("/nowhere").read_text())


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = Starlette(
        routes=[
            Route("/upload", upload, methods=["POST"]),
            Route("/stream", stream),
            Route("/missing", missing),
        ],
        middleware=[Middleware(Refusals)],
    )
    return TestClient(app)


def test_an_upload_is_answered_by_a_sentence(client):
    answer = client.post("/upload", content=b"video")
    assert answer.status_code == 507
    assert answer.json()["detail"].startswith("The server's disk is full; delete runs")


def test_other_errors_and_answers_under_way_are_left_alone(client):
    with pytest.raises(FileNotFoundError):
        client.get("/missing")
    with pytest.raises(OSError, match="No space left"):
        client.get("/stream")
