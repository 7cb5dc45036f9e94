"""Clips from prompts, with workers in this process: other processes would not know the toy experts."""

import threading
from dataclasses import replace
from typing import Any

import imageio.v3 as iio
import pytest

from app.runs.prompt_jobs import CLIP, CLIP_RECORD, PromptJobs
from ar4d.clip import ClipSettings
from ar4d.errors import UserError
from ar4d.events import ExpertChosen, Progress
from ar4d.experts import registry
from ar4d.experts.protocols import Unavailable
from ar4d.experts.registry import Entry
from ar4d.imagine import ImagineSettings, experts_of
from ar4d.presets import CPU
from ar4d.runs import Run
from tests.conftest import quick
from tests.imagine.test_imagine import ALL, BAD, Studio, good
from tests.support.lifting import TOKEN, disk_video, service
from tests.support.streams import drained

ONE = ImagineSettings(seeds=1)


class InProcessWorker:
    """A worker without a process."""

    def __init__(self) -> None:
        self.stopped, self.closed = threading.Event(), False

    def run(self, task: Any):
        reports = []
        result = task.work(reports.append, self.stopped)
        yield from reports
        return result

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def workers() -> list[InProcessWorker]:
    return []


@pytest.fixture
def prompt_jobs(tmp_path, monkeypatch, workers) -> PromptJobs:
    service = Studio([good(0), BAD])
    blocked = Entry("big", ALL, "", lambda d: Unavailable("big needs a GPU."), lambda d: None, gpu_gib=24)
    entry = Entry("service", ALL, "", lambda d: None, lambda d: service)
    monkeypatch.setattr(registry, "ENTRIES", (blocked, entry))

    def make() -> InProcessWorker:
        workers.append(InProcessWorker())
        return workers[-1]

    return PromptJobs(tmp_path, "cpu", make)


def test_offers_say_who_can_and_why_others_cannot(prompt_jobs):
    assert [(entry.name, why) for entry, why in prompt_jobs.offers()] == [
        ("big", "big needs a GPU."),
        ("service", ""),
    ]


def test_the_registrys_own_offers(tmp_path):
    offers = PromptJobs(tmp_path, "cpu").offers()
    assert [entry.name for entry, _ in offers] == ["wan-2.2", "wan-2.1-small"]
    assert all("needs an NVIDIA GPU" in why for _, why in offers)


def test_a_clip_is_made_and_its_experts_are_recorded(prompt_jobs, workers):
    events, folder = drained(prompt_jobs.generate("me", "a fox", None, ONE))
    assert iio.imread(folder / CLIP).shape == (8, 128, 192, 3)
    assert experts_of(folder / CLIP) == {"text_to_video": "service"}
    assert [event.name for event in events if isinstance(event, ExpertChosen)] == ["service"]
    assert Progress("seed 0 (1 of 1): sampling", 1, 1) in events
    assert workers[0].closed


def test_a_refused_clip_is_a_sentence_and_leaves_nothing(prompt_jobs, tmp_path, workers):
    with pytest.raises(UserError, match="The clip was refused"):
        drained(prompt_jobs.generate("me", "a fox", None, ImagineSettings(seeds=1, first_seed=1)))
    assert list(tmp_path.iterdir()) == []
    assert workers[0].closed
    _, folder = drained(prompt_jobs.generate("me", "a fox", None, ONE))  # the place is free again
    assert folder is not None


def test_one_clip_at_a_time(prompt_jobs):
    first = prompt_jobs.generate("me", "a fox", None, ONE)
    next(first)
    with pytest.raises(UserError, match="Another visitor's clip is being made"):
        next(prompt_jobs.generate("you", "a hen", None, ONE))
    first.close()
    assert drained(prompt_jobs.generate("you", "a hen", None, ONE))[1] is not None


def test_cancelling_ends_it_without_a_clip(prompt_jobs, tmp_path, workers):
    class Cancelled(InProcessWorker):
        def run(self, task):
            prompt_jobs.cancel("me")
            return (yield from super().run(task))

    prompt_jobs._make_worker = Cancelled
    _, folder = drained(prompt_jobs.generate("me", "a fox", None, ONE))
    assert folder is None
    assert list(tmp_path.iterdir()) == []
    prompt_jobs.cancel("nobody")


def test_a_run_of_a_scene_keeps_the_whole_picture_and_the_experts_of_its_clip(tmp_path, monkeypatch):
    settings = replace(quick(CPU), kind="scene")
    with service(tmp_path / "runs", started=False) as opened:
        draft = opened.create_draft(TOKEN, disk_video(tmp_path))
        (draft / CLIP_RECORD).write_text('{"experts": {"text_to_video": "toy"}}')
        opened.cut_out(draft, ClipSettings(num_frames=3), settings.size)
        scene = Entry("depth", ("scene_to_gaussians",), "", lambda d: None, lambda d: None)
        monkeypatch.setattr(registry, "ENTRIES", (scene,))
        monkeypatch.setattr(opened.jobs, "submit", lambda folder: None)
        run = Run.open(opened.create_run(TOKEN, draft, settings))
    assert run.record.recipe.clip.framing == "whole"
    assert run.clip.matting == "none"
    assert run.record.experts == {"text_to_video": "toy"}
