"""The named endpoints, asked by gradio_client as strangers would."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from app.main import Server
from benchmarks.support.api import Api
from benchmarks.support.malformed import cases, judge
from tests.support.lifting import disk_video, new_token, serving_page

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_page(tmp_path_factory.mktemp("api")) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(server.address, download_files=tmp_path_factory.mktemp("downloads"), verbose=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disk_video(tmp_path_factory.mktemp("clips"))


def lift(client: Client, clip: Path, settings: dict, token: str = "") -> dict:
    return client.predict(handle_file(clip), {"num_frames": 3}, "cpu", settings, token, api_name="/lift")


def wait(client: Client, run: dict, states: tuple[str, ...], seconds: float = 300) -> dict:
    end = time.monotonic() + seconds
    while True:
        status = client.predict(run["run"], run["token"], api_name="/status")
        if status["state"] in states:
            return status
        assert time.monotonic() < end, status
        time.sleep(0.2)


def test_lift_status_export(server: Server, client: Client, clip: Path) -> None:
    run = lift(client, clip, {"seed": 3, "generate.iterations": 10})
    status = wait(client, run, ("finished", "failed"))
    assert status["state"] == "finished", status["error"]
    assert status["frames_done"] == status["num_frames"] == len(status["psnr"]) == 3
    assert status["experts"] == {"image_to_gaussians": "silhouette", "views_to_gaussians": "silhouette"}
    assert httpx.get(server.address.rstrip("/") + status["viewer"]).status_code == 200
    assert status["position"] is None
    page = Path(client.predict(run["run"], run["token"], "html", api_name="/export"))
    assert page.name == "disk.html"
    assert page.stat().st_size > 100_000
    video = client.predict(run["run"], run["token"], "mp4", {"size": 64, "orbit": False}, api_name="/export")
    assert Path(video).suffix == ".mp4"
    files = client.predict(run["run"], run["token"], "ply", {}, api_name="/export")
    assert Path(files).suffix == ".zip"


def test_a_clip_alone_is_enough(client: Client, clip: Path) -> None:
    run = client.predict(handle_file(clip), api_name="/lift")
    status = client.predict(run["run"], run["token"], api_name="/status")
    assert status["num_frames"] == 6
    client.predict(run["run"], run["token"], api_name="/cancel")
    wait(client, run, ("stopped", "finished"))


def test_cancel(client: Client, clip: Path) -> None:
    run = lift(client, clip, {"generate.iterations": 5000})
    wait(client, run, ("running",))
    client.predict(run["run"], run["token"], api_name="/cancel")
    assert wait(client, run, ("stopped", "finished"))["state"] == "stopped"
    with pytest.raises(AppError, match="no such run"):
        client.predict(run["run"], new_token(), api_name="/resume")
    assert client.predict(run["run"], run["token"], api_name="/resume")["state"] in ("queued", "running")
    client.predict(run["run"], run["token"], api_name="/cancel")
    assert wait(client, run, ("stopped", "finished"))["state"] == "stopped"
    with pytest.raises(AppError, match="is not finished"):
        client.predict(run["run"], run["token"], "html", {}, api_name="/export")


def test_the_same_token_sees_its_runs_and_no_other_does(client: Client, clip: Path) -> None:
    token = new_token()
    run = lift(client, clip, {"generate.iterations": 1}, token)
    assert run["token"] == token
    for stranger in (new_token(), new_token()):
        for name, rest in (("/status", ()), ("/cancel", ()), ("/export", ("html", {}))):
            with pytest.raises(AppError, match="no such run here"):
                client.predict(run["run"], stranger, *rest, api_name=name)
    assert wait(client, run, ("finished",))["frames_done"] == 3


@pytest.mark.parametrize(
    ("run", "token", "sentence"),
    [
        ("../../etc", "t" * 43, "no such run here"),
        ("A" * 22, "t" * 43, "no such run here"),
        ("A" * 22, "../" * 12, "token is not valid"),
        ("", "", "token is not valid"),
    ],
)
def test_guesses_are_refused(client: Client, run: str, token: str, sentence: str) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(run, token, api_name="/status")


def test_a_path_is_no_upload(server: Server, client: Client, clip: Path) -> None:
    """The client would upload the file; whoever speaks HTTP names whatever he likes."""
    address = f"{server.address}gradio_api/call/lift"
    for path in ("/etc/passwd", f"{server.service.cache}/../../etc/passwd", str(clip)):
        for meta in ({}, {"meta": {"_type": "gradio.FileData"}}):
            data = [{"path": path, **meta}, {}, "cpu", {}, ""]
            event = httpx.post(address, json={"data": data}).json()["event_id"]
            answer = httpx.get(f"{address}/{event}", timeout=60).text
            assert answer.startswith("event: error"), answer
            assert "root:" not in answer
    text = clip.with_name("words.mp4")
    text.write_text("not a video")
    with pytest.raises(AppError, match=r"^words[.]mp4 is neither a video") as raised:
        lift(client, text, {})
    assert str(server.service.storage.root) not in str(raised.value)


def test_files_of_runs_are_not_served(server: Server, client: Client, clip: Path) -> None:
    quickly = {"initialize.iterations": 1, "generate.iterations": 1, "refine.enabled": False}
    run = lift(client, clip, quickly)
    wait(client, run, ("finished",))
    folder = server.service.storage.run(run["token"], run["run"])
    for path in (folder / "run.json", folder / "source" / "disk.mp4", folder / "input" / "0000.png"):
        answer = httpx.get(f"{server.address}gradio_api/file={path}")
        assert answer.status_code in (403, 404), path
    for path in (
        "examples/../app.py",
        "examples/..%2f..%2fapp.py",
        "share/" + "A" * 22,
        "viewer/" + "A" * 32 + "/",
    ):
        assert httpx.get(server.address + path).status_code in (403, 404), path


@pytest.mark.parametrize(
    ("clip_settings", "preset", "settings", "sentence"),
    [
        ({}, "best", {}, 'no preset "best"'),
        ({}, "cpu", {"generate.steps": 3}, 'no setting "generate.steps"'),
        ({}, "cpu", {"generate.iterations": "many"}, "generate.iterations: input should be a valid integer"),
        ({}, "cpu", {"generate.iterations": -1}, "greater than or equal to 0, not -1"),
        ({}, "cpu", {"refine.target": "both"}, "refine.target: input should be 'generated' or 'input'"),
        ({}, "cpu", {"initialize.gaussians": 10**9}, "allows 200,000 Gaussians"),
        ({}, "cpu", {"initialize.expert": "oracle"}, 'no expert "oracle"'),
        ({"num_frames": "all"}, "cpu", {}, "num_frames"),
        ({"colour": 1}, "cpu", {}, "dictionary of: background"),
        ({"num_frames": 10**6}, "cpu", {}, "makes 1 to 64 frames"),
    ],
)
def test_bad_settings_are_one_sentence(
    client: Client, clip: Path, clip_settings: dict, preset: str, settings: dict, sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence) as raised:
        client.predict(handle_file(clip), clip_settings, preset, settings, "", api_name="/lift")
    assert "Traceback" not in str(raised.value)


def test_the_page_keeps_its_own_events_to_itself(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)
    assert isinstance(named, dict)
    assert set(named["named_endpoints"]) == {"/lift", "/status", "/cancel", "/resume", "/export"}
    assert not named["unnamed_endpoints"]


def test_malformed_requests_are_answered_by_sentences(server: Server, client: Client, clip: Path) -> None:
    """A few of those of `python -m benchmarks.malformed`."""
    api = Api(server.address)
    answers = [judge(case, api, 30.0, time.monotonic) for case in cases(40, seed=3)]
    api.close()
    assert [answer for answer in answers if answer.problem] == []
    assert sum(not answer.text.startswith("taken") for answer in answers) > 20
    assert wait(client, lift(client, clip, {"generate.iterations": 1}), ("finished",))["frames_done"] == 3


def test_the_sessions_that_calls_open_are_bounded(server: Server) -> None:
    """Gradio keeps ten thousand by default, each with a copy of the page."""
    assert server.demo.app.state_holder.capacity == server.service.limits.sessions == 128


def test_an_endpoint_that_does_not_exist_is_a_sentence(server: Server) -> None:
    answer = httpx.post(f"{server.address.rstrip('/')}/gradio_api/call/no_such_endpoint", json={"data": []})
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("There is no such endpoint")
