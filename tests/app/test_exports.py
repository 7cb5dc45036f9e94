"""The routes behind the result: exports with progress and cancel, estimates, selections and clean-ups."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.result_routes import routes
from app.runs.limits import Limits
from app.service import Service
from ar4d.cameras import orbit
from ar4d.runs import Run
from tests.support.lifting import service as serving
from tests.support.results import add_run

LEFT_HALF = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("runs"), Limits(video_megapixels=300)) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(service: Service) -> TestClient:
    return TestClient(Starlette(routes=routes(service)))


@pytest.fixture
def run(service: Service) -> Path:
    return add_run(service, "ball.mp4")


@pytest.fixture
def base(service: Service, run: Path) -> str:
    return f"/result/{service.exports.ticket(run)}"


def ended(client: TestClient, base: str, state: dict[str, Any]) -> dict[str, Any]:
    seen = set()
    while state["state"] in ("waiting", "working"):
        time.sleep(0.05)
        state = client.get(f"{base}/exports/{state['id']}").json()
        seen.add((state["done"], state["total"]))
    return {**state, "seen": seen}


def outline(**values: Any) -> dict[str, Any]:
    viewmat = orbit(0.0, size=1).viewmats[0].flatten().tolist()
    return {"kind": "outline", "polygon": LEFT_HALF, "viewmat": viewmat, **values}


def refusal(answer: Any) -> str:
    assert answer.status_code == 400
    return answer.json()["error"]


def test_an_export_has_progress_and_a_file(client, base):
    body = {"format": "mp4", "options": {"seconds": 4, "size": 256}}
    state = ended(client, base, client.post(f"{base}/exports", json=body).json())
    assert state["state"] == "finished", state
    assert state["name"] == "ball.mp4"
    assert any(0 < done < 120 and total == 120 for done, total in state["seen"])
    file = client.get(f"{base}/exports/{state['id']}/file")
    assert len(file.content) == state["size"]
    assert 'filename="ball.mp4"' in file.headers["content-disposition"]


def test_a_cancelled_export_leaves_no_file_and_frees_the_worker(client, base, service):
    before = set(service.cache.iterdir())
    body = {"format": "mp4", "options": {"seconds": 30, "size": 512}}
    state = client.post(f"{base}/exports", json=body).json()
    while state["state"] == "waiting":
        state = client.get(f"{base}/exports/{state['id']}").json()
    assert client.delete(f"{base}/exports/{state['id']}").json()["state"] == "cancelled"
    deadline = time.monotonic() + 60
    while set(service.cache.iterdir()) != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert set(service.cache.iterdir()) == before
    assert "no longer kept" in refusal(client.get(f"{base}/exports/{state['id']}/file"))
    body = {"format": "mp4", "options": {"seconds": 0.1, "size": 64}}
    assert ended(client, base, client.post(f"{base}/exports", json=body).json())["state"] == "finished"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"format": "avi"}, 'no format "avi"'),
        ({"format": "mp4", "options": {"seconds": 1000}}, "more than this server draws"),
        ({"format": "mp4", "options": {"quality": 1}}, 'mp4 has no option "quality"'),
        ({"format": "mp4", "options": 7}, "are a dictionary"),
        ({"format": "mp4", "options": {"fps": "fast"}}, "The option fps"),
    ],
)
def test_what_cannot_begin_is_one_sentence(client, base, body, sentence):
    assert sentence in refusal(client.post(f"{base}/exports", json=body))


def test_what_fails_on_the_way_is_one_sentence_without_a_file(client, base, service):
    before = set(service.cache.iterdir())
    body = {"format": "mp4", "options": {"size": 33, "seconds": 1}}
    state = ended(client, base, client.post(f"{base}/exports", json=body).json())
    assert state["state"] == "failed"
    assert state["error"] == "An MP4 needs an even width and height, not 33 × 33; change the size."
    assert set(service.cache.iterdir()) == before


def test_a_ticket_is_worth_nothing_without_its_run(client, base, service, run):
    assert "This run is gone" in refusal(client.post("/result/guess/exports", json={"format": "ply"}))
    other = f"/result/{service.exports.ticket(add_run(service, 'other.mp4'))}"
    state = client.post(f"{base}/exports", json={"format": "ply"}).json()
    assert "This export is gone" in refusal(client.get(f"{other}/exports/{state['id']}"))
    ended(client, base, state)
    service.delete(run)
    assert "This run is gone" in refusal(client.post(f"{base}/exports", json={"format": "ply"}))


def test_an_unfinished_run_has_no_files_yet(client, base, run):
    (run / "refined.safetensors").unlink()
    sentence = refusal(client.post(f"{base}/exports", json={"format": "ply"}))
    assert sentence == "This run is not finished yet; its files can be made when it is."


def test_too_many_exports_at_once_are_refused(client, base):
    body = {"format": "mp4", "options": {"seconds": 10, "size": 512}}
    states = [client.post(f"{base}/exports", json=body).json() for _ in range(4)]
    assert "4 exports of this run are under way" in refusal(client.post(f"{base}/exports", json=body))
    for state in states:
        client.delete(f"{base}/exports/{state['id']}")
    for state in states:
        ended(client, base, state)


def test_requests_that_make_no_sense_are_refused(client, base):
    assert "could not be read" in refusal(client.post(f"{base}/exports", content=b"{"))
    assert "could not be read" in refusal(client.post(f"{base}/exports", content=b"[]"))
    assert "too long" in refusal(client.post(f"{base}/exports", content=b" " * 300_000))
    assert "no frame 9" in refusal(client.get(f"{base}/stages/8"))
    assert "could not be read" in refusal(client.get(f"{base}/stages/x"))
    assert "at least two key frames" in refusal(client.post(f"{base}/path", json={"path": {"keys": []}}))


def test_estimates_skip_what_is_still_being_typed(client, base):
    wanted = {"mp4": {"seconds": 6}, "gif": {"fps": "x"}, "avi": {}, "ply": {"num_frames": 3}}
    sizes = client.post(f"{base}/estimates", json=wanted).json()
    assert sizes["gif"] is sizes["avi"] is None
    assert sizes["mp4"] > 1e5
    assert sizes["ply"] == 600 * 3 * 56


def test_a_selection_is_seen_deleted_and_undone(client, base, run):
    seen = client.post(f"{base}/selection", json={"edit": outline(), "height": 200}).json()
    assert 200 < seen["count"] < 400
    assert seen["total"] == 600
    assert seen["picture"].startswith("data:image/webp;base64,")
    change = {"action": "delete", "edit": outline()}
    deleted = client.post(f"{base}/cleanup", json=change).json()
    assert deleted == {"left": 600 - seen["count"], "total": 600, "edits": ["an outline"]}
    assert len(Run.open(run).result().at(1.0)) == deleted["left"]
    assert "No splat lies in this selection" in refusal(client.post(f"{base}/cleanup", json=change))
    everything = {"action": "delete", "edit": outline(outside=True)}
    assert "This would delete all 600 splats" in refusal(client.post(f"{base}/cleanup", json=everything))
    assert client.post(f"{base}/cleanup", json={"action": "undo"}).json()["left"] == 600
    assert "no clean-up to undo" in refusal(client.post(f"{base}/cleanup", json={"action": "undo"}))
    assert "one of: delete, undo, reset" in refusal(client.post(f"{base}/cleanup", json={"action": "x"}))
    assert "cannot be read" in refusal(client.post(f"{base}/selection", json={"edit": {"kind": "magic"}}))


def test_the_viewer_shows_the_cleaned_result(client, base, run, service):
    path = service.viewer_path(run)
    viewer = service.viewers.get(path.split("/")[2])
    stage = viewer.state()["stages"][-1]["name"]
    before = len(viewer.splats(stage, 1.0))
    deleted = client.post(f"{base}/cleanup", json={"action": "delete", "edit": outline()}).json()
    assert len(viewer.splats(stage, 1.0)) == before * deleted["left"] // 600
