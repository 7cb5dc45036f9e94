"""What happens when memory is full: the next expert takes over and the run goes on."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from ar4d.errors import UserError
from ar4d.events import ExpertChosen, FacingEstimated, Finished, Progress, Warned
from ar4d.experts import registry
from ar4d.experts.fallback import Fallback
from ar4d.experts.registry import Entry, require
from ar4d.experts.silhouette import Silhouette
from ar4d.lifting import lift_events
from tests.conftest import make_clip, quick
from tests.support.plugins import registries as registries  # a fixture

CPU = torch.device("cpu")
ROLES = ("image_to_gaussians", "views_to_gaussians")


class Hungry:
    """Does its work until its memory is full."""

    name = "hungry"

    def __init__(self, calls: int = 0, error: type[Exception] = torch.OutOfMemoryError) -> None:
        self.calls, self.error = calls, error
        self.on_progress = None

    def lift(self, rgba, budget, elevation_deg=0.0):
        if self.on_progress is not None:
            self.on_progress("views", 1, 2)
        self._work()
        return Silhouette().lift(rgba, budget, elevation_deg)

    def reconstruct(self, rgba, elevation_deg=0.0):
        self._work()
        return Silhouette().reconstruct(rgba, elevation_deg)

    def _work(self):
        self.calls -= 1
        if self.calls < 0:
            raise self.error("CUDA out of memory. Tried to allocate 20.00 GiB")


def entry(name, build, roles=ROLES):
    return Entry(name, roles, "", lambda device: None, build)


@pytest.fixture(autouse=True)
def put_back(registries):
    """What a test registers is forgotten after it."""


def with_entries(*entries):
    """Prefers experts to the program's own, in their order."""
    for preferred in entries:
        registry.register(preferred)


def fallback(emit=lambda event: None):
    """For stage 1, by the best expert."""
    return Fallback("image_to_gaussians", *require("image_to_gaussians", "auto", CPU), CPU, emit)


def run(settings=None):
    return list(lift_events(make_clip(3), settings or quick()))


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError, MemoryError])
def test_a_full_memory_in_stage_1_and_2_costs_the_expert_but_not_the_run(error):
    hungry = entry("hungry", lambda device: Hungry(error=error))
    with_entries(hungry, entry("small", lambda device: Silhouette()))
    events = run()
    assert isinstance(events[-1], Finished)
    sentences = [event.message for event in events if isinstance(event, Warned)]
    assert len(sentences) == 2
    assert all('ran out in the expert "hungry": "small" continues' in sentence for sentence in sentences)
    chosen = [(event.role, event.name) for event in events if isinstance(event, ExpertChosen)]
    assert [name for role, name in chosen if role == "image_to_gaussians"] == ["hungry", "small"]
    assert [name for role, name in chosen if role == "views_to_gaussians"] == ["hungry", "small"]


def test_the_next_expert_stays_for_the_rest_of_the_run():
    with_entries(
        entry("hungry", lambda device: Hungry(calls=3)),
        entry("small", lambda device: Silhouette()),
    )
    events = run()
    assert (
        len([event for event in events if isinstance(event, Warned)]) == 1
    )  # stage 1 took one call of its own
    assert isinstance(events[-1], Finished)


def test_an_expert_that_does_not_even_load():
    def build(device):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with_entries(entry("hungry", build), entry("small", lambda device: Silhouette()))
    events = []
    assert fallback(events.append).name == "small"
    warned, chosen = events
    assert isinstance(warned, Warned)
    assert chosen == ExpertChosen("image_to_gaussians", "small", "memory ran out in hungry")


def test_no_smaller_expert_is_a_sentence(monkeypatch):
    monkeypatch.setattr(registry, "ENTRIES", ())
    with_entries(entry("hungry", lambda device: Hungry()))
    with pytest.raises(UserError, match=r'Memory ran out in the expert "hungry" and no smaller one is left'):
        run()


def test_memory_that_runs_out_in_a_stage_is_a_sentence(monkeypatch):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("ar4d.engines.ar4d.initialize.render", full)
    with pytest.raises(
        UserError, match="Memory ran out at 64 pixels and 600 Gaussians; close other programs"
    ):
        run()


def test_other_errors_pass():
    with_entries(entry("broken", lambda device: Hungry(error=ZeroDivisionError)))
    with pytest.raises(ZeroDivisionError):
        run()


def test_progress_of_an_expert_comes_out_of_the_run():
    with_entries(entry("slow", lambda device: Hungry(calls=99)))
    settings = replace(quick(), refine=replace(quick().refine, enabled=False))
    assert Progress("views", 1, 2) in run(settings)


class Watcher(Hungry):
    """Knows the clip; its memory is full after some calls."""

    seen: ClassVar[list[tuple[int, float | None]]] = []

    def with_clip(self, clip, facing_deg=None):
        self._work()
        Watcher.seen.append((len(clip), facing_deg))
        return self

    @property
    def facing_estimate(self):
        return -45.0, 0.75


def test_experts_that_watch_are_shown_the_clip_and_told_where_it_faces(monkeypatch):
    monkeypatch.setattr(Watcher, "seen", [])
    with_entries(entry("watcher", lambda device: Watcher(calls=99)))
    events = run(replace(quick(), facing="back-right"))
    assert Watcher.seen == [(3, 135.0), (3, 135.0)]  # once in stage 1, once in stage 2
    assert not any(isinstance(event, FacingEstimated) for event in events)


@pytest.mark.parametrize(("elevation_deg", "told"), [(0.0, [FacingEstimated(-45.0, 0.75)]), (20.0, [])])
def test_what_an_expert_took_the_facing_for_is_told_once(elevation_deg, told):
    with_entries(entry("watcher", lambda device: Watcher(calls=99)))
    events = run(replace(quick(), elevation_deg=elevation_deg))
    assert [event for event in events if isinstance(event, FacingEstimated)] == told


def test_the_next_expert_is_shown_the_clip_as_well(monkeypatch):
    monkeypatch.setattr(Watcher, "seen", [])
    with_entries(
        entry("hungry", lambda device: Hungry()),
        entry("watcher", lambda device: Watcher(calls=99)),
    )
    expert = fallback()
    clip = torch.zeros(5, 8, 8, 4)
    clip[:, 2:6, 2:6] = 1
    expert.with_clip(clip, None)
    assert Watcher.seen == []
    expert.lift(clip[0], 100)
    assert Watcher.seen == [(5, None)]


def test_memory_that_runs_out_while_it_watches_costs_the_expert(monkeypatch):
    monkeypatch.setattr(Watcher, "seen", [])
    with_entries(
        entry("watcher", lambda device: Watcher()),
        entry("small", lambda device: Silhouette()),
    )
    expert = fallback()
    expert.with_clip(torch.zeros(5, 8, 8, 4), None)
    assert expert.name == "small"
    assert Watcher.seen == []
