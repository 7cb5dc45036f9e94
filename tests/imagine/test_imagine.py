"""From a prompt, or a picture, to a clip: with experts that film what a test wants, and with a tiny Wan."""

import json
import time

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image

from ar4d.cli import main
from ar4d.errors import UserError
from ar4d.events import ClipJudged, ExpertChosen, Progress, Warned
from ar4d.experts import registry
from ar4d.experts.protocols import Unavailable, VideoFrames
from ar4d.experts.registry import Entry
from ar4d.experts.silhouette import Silhouette
from ar4d.experts.wan import Wan
from ar4d.imagine import ImagineSettings, experts_of, imagine, save
from ar4d.imagine.imagine import staged
from ar4d.runs import Run
from tests.cli.test_cli import QUICK
from tests.imagine.test_gate import rolling
from tests.support.footage import disk, over
from tests.support.streams import drained
from tests.support.toy_wan import TOY, save_wan

CPU = torch.device("cpu")
ALL = ("text_to_video", "text_to_image", "image_to_video")


class Studio:
    """Films what `clips` holds for a seed; remembers what it was asked."""

    def __init__(self, clips) -> None:
        self.clips, self.requests, self.pictures = clips, [], []
        self.warnings = ["It goes on with less."]
        self.name = "studio"

    def generate_video(self, request, on_progress=None):
        self.requests.append(request)
        if on_progress is not None:
            on_progress("sampling", 1, 1)
        return VideoFrames(self.clips[request.seed], 12.0)

    def generate_image(self, request, on_progress=None):
        self.requests.append(request)
        return over(disk(90, 60, 30, size=(192, 128)))

    def size_of(self, request):
        return 192, 128

    def animate(self, picture, request, on_progress=None):
        self.pictures.append(picture)
        return self.generate_video(request, on_progress)


def good(seed: int) -> np.ndarray:
    return rolling(step=4 + seed)


BAD = rolling(step=18)


@pytest.fixture
def studio(monkeypatch):
    made = Studio([good(3), BAD, good(0), BAD])
    entry = Entry("studio", ALL, "", lambda device: None, lambda device: made)
    monkeypatch.setattr(registry, "ENTRIES", (entry,))
    return made


def test_the_best_seed_is_taken_and_the_choice_explained(studio):
    events, imagined = drained(imagine("a fox", ImagineSettings(), CPU))
    assert imagined.seed == 2
    assert np.array_equal(imagined.footage.frames, good(0))
    assert [request.seed for request in studio.requests] == [0, 1, 2]
    assert "tripod" in studio.requests[0].prompt
    assert "zoom" in studio.requests[0].negative_prompt
    judged = [event for event in events if isinstance(event, ClipJudged)]
    assert [event.accepted for event in judged] == [True, False, True, True]
    assert "touches the border" in judged[1].message
    assert judged[-1].message.startswith("Taken: 2 of 3 clips passed")
    assert Progress("seed 1 (2 of 3): sampling", 1, 1) in events
    assert [event.message for event in events if isinstance(event, Warned)] == ["It goes on with less."]
    assert [e.role for e in events if isinstance(e, ExpertChosen)] == ["text_to_video"]
    assert imagined.experts == {"text_to_video": "studio"}


def test_a_refusal_of_all_is_one_sentence(studio):
    with pytest.raises(UserError, match=r"The clip was refused: the subject touches the border in 2 of 8"):
        drained(imagine("a fox", ImagineSettings(seeds=1, first_seed=1), CPU))


def test_the_gate_can_be_left_open(studio):
    events, imagined = drained(imagine("a fox", ImagineSettings(seeds=1, first_seed=3, gate=False), CPU))
    assert imagined.seed == 3
    assert any(
        "No clip passed the gate; seed 3 comes nearest" in e.message for e in events if isinstance(e, Warned)
    )


def test_a_picture_is_cut_out_put_on_white_and_set_in_motion(studio, tmp_path):
    path = tmp_path / "ball.png"
    Image.fromarray(over(disk(40, 30, 20, (30, 60, 200), (80, 60)), (10, 120, 10))).save(path)
    _, imagined = drained(imagine("", ImagineSettings(seeds=1), CPU, picture=path))
    picture = studio.pictures[0]
    assert picture.shape == (128, 192, 3)
    assert (picture[:, :40] == 255).all()  # nothing of the green is left
    assert picture[64, 96].tolist() == pytest.approx([30, 60, 200], abs=12)
    columns = np.flatnonzero((picture < 200).any(axis=(0, 2)))
    assert len(columns) == pytest.approx(0.6 * 128, abs=3)
    assert imagined.experts == {"image_to_video": "studio"}
    assert studio.requests[0].prompt.startswith("The subject moves in a natural way")


def test_a_prompt_can_become_a_picture_first(studio):
    settings = ImagineSettings(seeds=1, route="picture-first")
    _, imagined = drained(imagine("a red ball", settings, CPU))
    painted, filmed = studio.requests
    assert "tripod" not in painted.prompt
    assert "tripod" in filmed.prompt
    assert studio.pictures[0][64, 96].tolist() == pytest.approx([200, 30, 40], abs=12)
    assert imagined.experts == {"text_to_image": "studio", "image_to_video": "studio"}


def test_closing_the_stream_stops_the_expert(studio):
    seen = []

    def film(request, on_progress):
        for step in range(100):
            seen.append(step)
            time.sleep(0.02)
            on_progress("sampling", step, 100)
        raise AssertionError("nobody stopped it")

    studio.film = film
    stream = imagine("a fox", ImagineSettings(), CPU)
    for event in stream:
        if isinstance(event, Progress) and "sampling" in event.task:
            break
    stream.close()
    assert len(seen) < 100


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (ImagineSettings(seeds=0), "Between 1 and 20 seeds"),
        (ImagineSettings(num_frames=3), "between 5 and 241 frames, not 3"),
        (ImagineSettings(steps=0), "between 1 and 200 steps, not 0"),
        (ImagineSettings(expert="nothing"), 'There is no expert "nothing" for text_to_video'),
    ],
)
def test_bad_settings_are_sentences(studio, settings, said):
    with pytest.raises(UserError, match=said):
        drained(imagine("a fox", settings, CPU))


def test_where_none_can_run_the_remedy_is_told():
    with pytest.raises(
        UserError, match=r"needs an NVIDIA GPU .* or have any video generator make a short clip"
    ):
        drained(imagine("a fox", ImagineSettings(), CPU))


def test_a_stage_is_as_large_as_the_clip():
    subject = np.zeros((50, 50, 4), np.uint8)
    assert (staged(subject, 90, 60) == 255).all()
    assert staged(subject, 90, 60).shape == (60, 90, 3)


def test_the_command_writes_the_clip_and_how_it_was_made(studio, tmp_path, capsys):
    out = tmp_path / "fox.mp4"
    assert main(["imagine", "a fox", "--out", str(out), "--seeds", "2"]) == 0
    output = capsys.readouterr()
    assert output.out.strip() == str(out)
    assert "touches the border" in " ".join(output.err.split())
    assert iio.imread(out).shape == (8, 128, 192, 3)
    facts = json.loads(out.with_suffix(".json").read_text())
    assert facts["seed"] == 0
    assert facts["prompt"] == "a fox"
    assert [verdict["accepted"] for verdict in facts["verdicts"].values()] == [True, False]
    assert experts_of(out) == {"text_to_video": "studio"}


def test_lift_takes_a_prompt_and_the_run_names_its_experts(studio, tmp_path, capsys, monkeypatch):
    lifters = list(registry.ENTRIES)
    roles = ("image_to_gaussians", "views_to_gaussians")
    lifters.append(Entry("silhouette", roles, "", lambda device: None, lambda device: Silhouette()))
    monkeypatch.setattr(registry, "ENTRIES", tuple(lifters))
    folder = tmp_path / "run"
    assert main(["lift", "--prompt", "a fox", "--out", str(folder), *QUICK]) == 0
    assert Run.open(folder).record.experts == {
        "text_to_video": "studio",
        "image_to_gaussians": "silhouette",
        "views_to_gaussians": "silhouette",
    }
    capsys.readouterr()
    assert main(["info", str(folder)]) == 0
    assert "text to video: studio" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["imagine", "a fox"], "imagine needs --out with a file ending in .mp4 or .gif"),
        (["imagine", "a fox", "--out", "fox.avi"], "ending in .mp4 or .gif"),
        (["imagine", "--out", "x.mp4", "--image", "nothing.png"], "There is no picture nothing.png"),
        (["imagine", "", "--out", "x.mp4"], "The prompt is empty"),
    ],
)
def test_mistakes_are_sentences(studio, argv, said, capsys):
    assert main(argv) == 2
    assert said in capsys.readouterr().err


def test_a_tiny_wan_goes_the_whole_way(tmp_path, monkeypatch):
    """The real loading and sampling, from the command to a file; what it shows is noise, so no gate."""
    save_wan(tmp_path / "wan")
    entry = Entry("toy", ALL, "", lambda device: None, lambda device: Wan.load(TOY, device, tmp_path / "wan"))
    blocked = Entry("big", ALL, "", lambda device: Unavailable("big needs a GPU."), lambda device: None)
    monkeypatch.setattr(registry, "ENTRIES", (blocked, entry))
    events, imagined = drained(imagine("a fox", ImagineSettings(seeds=1, gate=False), CPU))
    assert imagined.footage.frames.shape == (5, 32, 64, 3)
    assert [e.reason for e in events if isinstance(e, ExpertChosen)] == [
        "the best that runs here; big needs a GPU."
    ]
    save(imagined, tmp_path / "clip.mp4")
    assert iio.imread(tmp_path / "clip.mp4").shape == (5, 32, 64, 3)
