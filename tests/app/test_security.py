"""Bounds on what an upload may cost, and the headers of answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app import headers
from app.headers import SecurityHeaders, viewer_headers
from app.page.settings_form import change
from app.runs.limits import Limits
from app.runs.worker import Worker, WorkerDied
from ar4d.clip import ClipSettings
from ar4d.engines.star.settings import StarSettings
from ar4d.errors import UserError
from ar4d.events import drain
from tests.support.hog import Hog
from tests.support.lifting import TOKEN, disk_video, service


def test_a_worker_is_bounded_in_memory_and_time() -> None:
    worker = Worker("utility", memory_mb=700)
    try:
        assert drain(worker.run(Hog(megabytes=50))) == 50 * 10**6
        with pytest.raises(UserError, match="not enough memory"):
            drain(worker.run(Hog(megabytes=900)))
        start = time.monotonic()
        with pytest.raises(WorkerDied) as died:
            drain(worker.run(Hog(seconds=600), seconds=1))
        assert died.value.requested
        assert time.monotonic() < start + 20
        assert drain(worker.run(Hog(megabytes=1))) == 10**6  # by a new process
    finally:
        worker.close()


def test_an_upload_with_too_many_frames_or_too_slow_to_read_is_a_sentence(tmp_path: Path) -> None:
    video = disk_video(tmp_path, num_frames=6)
    with service(tmp_path / "runs", Limits(clip_frames=5, decode_seconds=0.01), started=False) as opened:
        draft = opened.create_draft(TOKEN, video)
        with pytest.raises(UserError, match="longer than the 0 s that this server allows; try a shorter"):
            opened.cut_out(draft, ClipSettings(num_frames=2), 64)  # its process has not even started
        opened.limits = Limits(clip_frames=5)
        with pytest.raises(UserError, match="has 6 frames and this server takes at most 5; cut it"):
            opened.cut_out(draft, ClipSettings(num_frames=2), 64)


def client() -> TestClient:
    def plain(request: Any) -> PlainTextResponse:
        return PlainTextResponse("x")

    def viewer(request: Any) -> PlainTextResponse:
        return PlainTextResponse("x", headers=viewer_headers())

    routes = [Route("/", plain), Route("/viewer", viewer)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)]))


def test_every_answer_has_headers_and_a_viewer_its_own_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    plain = client().get("/").headers
    assert plain["content-security-policy"] == "frame-ancestors 'self'"
    assert plain["x-content-type-options"] == "nosniff"
    assert plain["referrer-policy"] == "same-origin"
    assert "x-frame-options" not in plain  # it knows no list of sites
    policy = client().get("/viewer").headers["content-security-policy"]
    assert policy == f"{headers.VIEWER_POLICY}; frame-ancestors 'self'"
    assert viewer_headers(shared=True)["Content-Security-Policy"].endswith("; frame-ancestors *")
    assert client().get("/missing").headers["x-content-type-options"] == "nosniff"


def test_a_space_may_be_framed_by_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "me/lift")
    for path in ("/", "/viewer"):
        assert (
            "frame-ancestors 'self' https://huggingface.co"
            in client().get(path).headers["content-security-policy"]
        )
    monkeypatch.setenv("AR4D_FRAME_ANCESTORS", "https://lab.example")
    monkeypatch.setenv("AR4D_VIEWER_POLICY", "")
    for path in ("/", "/viewer"):
        assert client().get(path).headers["content-security-policy"] == "frame-ancestors https://lab.example"


def test_a_visitor_cannot_name_a_file_of_the_server_as_weights():
    with pytest.raises(UserError, match='no setting "weights"'):
        change(StarSettings(), {"weights": "/etc/passwd"})
    assert change(StarSettings(), {"gaussians": 4000}).gaussians == 4000
