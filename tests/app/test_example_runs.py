"""The examples: enough of them, small, and their finished results open without running anything."""

from __future__ import annotations

from collections.abc import Iterator

import av
import httpx
import pytest

from app.examples import CLIPS, FILMED, ExampleRuns, cards, finished
from app.main import Server
from app.server import Viewers
from ar4d.runs import Run

NAMES = sorted(path.stem for path in CLIPS.glob("*.mp4"))


@pytest.fixture
def viewers() -> Iterator[Viewers]:
    viewers = Viewers()
    yield viewers
    viewers.close_all()


def test_there_are_small_clips_of_which_some_are_filmed():
    assert len(NAMES) >= 8
    assert len(finished()) >= 4
    assert set(FILMED) < set(NAMES)
    for name in NAMES:
        path = CLIPS / f"{name}.mp4"
        assert path.stat().st_size < 300_000
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == 24
        plain = frames[0][:8, :8].min() > 250
        assert plain == (name not in FILMED)


@pytest.mark.parametrize("name", sorted(finished()))
def test_a_finished_example_is_small_and_opens(viewers, name):
    folder = finished()[name]
    assert name in NAMES
    size = sum(path.stat().st_size for path in folder.glob("[r]*.*"))
    assert size < 1_500_000
    run = Run.open(folder)
    assert run.record.recipe.source == f"assets/examples/{name}.mp4"
    assert run.status == "finished"
    assert len(run.asset().at(0.5)) > 1000
    shown = ExampleRuns(viewers)
    path = shown.viewer_path(name)
    assert path == shown.viewer_path(name)  # all visitors share it
    assert path is not None
    viewer = viewers.get(path.split("/")[2])
    assert viewer is not None
    state = viewer.state()
    assert state["finished"]
    assert state["numFrames"] == run.num_frames
    assert len(viewer.splats(state["stages"][-1]["name"], 1.5)) > 1000


def test_an_example_is_opened_again_after_its_viewer_was_closed(viewers):
    shown = ExampleRuns(viewers)
    first = shown.viewer_path("dinosaur")
    assert first is not None
    viewers.close(first.split("/")[2])
    assert shown.viewer_path("dinosaur") not in (None, first)
    assert shown.viewer_path("unicorn") is None


def test_the_cards_offer_every_clip_and_the_results_that_there_are():
    text = cards()
    for name in NAMES:
        assert f'data-name="{name}"' in text
        assert (f'data-show="{name}"' in text) == (name in finished())


def test_the_server_leads_to_an_examples_viewer(tmp_path):
    server = Server(tmp_path, example=None)
    try:
        answer = httpx.get(f"{server.address}example/dinosaur", follow_redirects=True)
        assert answer.status_code == 200
        assert "/viewer/" in str(answer.url)
        assert httpx.get(f"{server.address}example/unicorn").status_code == 404
    finally:
        server.close()
