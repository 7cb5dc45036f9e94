"""An engine, an expert with a role of its own and a preset from outside, through every door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ar4d import presets
from ar4d.cli import main
from ar4d.clip import ClipSettings
from ar4d.engines import registry as engines
from ar4d.engines.registry import parse_settings
from ar4d.errors import UserError
from ar4d.events import ExpertChosen, FrameFinished, Planned
from ar4d.experts import registry as experts
from ar4d.lifting import lift, lift_events
from ar4d.runs import Recipe, Run
from tests.conftest import ball_frames, make_clip
from tests.support.plugins import install
from tests.support.plugins import registries as registries  # a fixture
from tests.support.toy_engine import ENGINE, EXPERT, PRESET, ROLE, Centroid, ToyEngine, ToySettings


@pytest.fixture
def toy(registries) -> None:
    engines.register(ENGINE)
    experts.register(EXPERT)
    presets.register(PRESET)


@pytest.fixture
def frames(tmp_path) -> Path:
    folder = tmp_path / "ball"
    folder.mkdir()
    for k, frame in enumerate(ball_frames(3, 48)):
        Image.fromarray(frame).save(folder / f"{k}.png")
    return folder


def files(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*.safetensors")}


def test_the_command_lifts_with_it_and_exports(toy, frames, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["lift", str(frames), "--engine", "toy", "--points", "7", "--out", str(out)]) == 0
    run = Run.open(out)
    assert run.status == "finished"
    settings = run.record.recipe.settings
    assert isinstance(settings, ToySettings)
    assert (settings.engine, settings.points, settings.size) == ("toy", 7, 32)
    assert run.record.experts == {ROLE: "centroid"}
    assert [len(frame) for frame in run.frames()] == [7, 7, 7]
    first = json.loads((out / "events.jsonl").read_text().splitlines()[0])
    assert first["event"] == "Planned"
    assert [stage["name"] for stage in first["stages"]] == ["place"]
    assert main(["info", str(out)]) == 0
    assert (
        main(["export", str(out), "--format", "ply", "--time", "0.5", "--out", str(tmp_path / "a.ply")]) == 0
    )
    assert (tmp_path / "a.ply").stat().st_size > 7 * 14 * 4


def test_a_stopped_run_resumes(toy, tmp_path):
    for name in ("whole", "stopped"):
        Run.create(tmp_path / name, Recipe("ball", ClipSettings(), ToySettings()), make_clip(3, 32))
    list(Run.open(tmp_path / "whole").work())
    work = Run.open(tmp_path / "stopped").work()
    for event in work:
        if isinstance(event, FrameFinished) and event.frame_index == 1:
            break
    work.close()
    kept = (tmp_path / "stopped" / "frames" / "0001.safetensors").stat().st_mtime_ns
    assert main(["lift", "--resume", "--out", str(tmp_path / "stopped")]) == 0
    assert (tmp_path / "stopped" / "frames" / "0001.safetensors").stat().st_mtime_ns == kept
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


def test_a_preset_of_it_is_found_by_its_name(toy, frames, tmp_path, capsys):
    assert main(["lift", str(frames), "--preset", "toy-five", "--out", str(tmp_path / "run")]) == 0
    assert [len(frame) for frame in Run.open(tmp_path / "run").frames()] == [5, 5, 5]
    with pytest.raises(UserError, match=r'no preset "toy-six"; choose one of: .*toy-five'):
        presets.find("toy-six")


def test_its_expert_may_be_an_object(toy):
    asked = []

    class Watching(Centroid):
        name = "watching"

        def locate(self, frame):
            asked.append(frame)
            return super().locate(frame)

    events = list(lift_events(make_clip(3, 32), ToySettings(), experts={ROLE: Watching()}))
    assert ExpertChosen(ROLE, "watching", "given as an object") in events
    assert len(asked) == 3
    assert isinstance(events[0], Planned)
    assert lift(make_clip(2, 32), ToySettings(), experts={ROLE: Watching()}).num_frames == 2


def test_an_expert_that_is_missing_is_named_before_the_work(registries, frames, tmp_path, capsys):
    engines.register(ENGINE)
    assert main(["lift", str(frames), "--engine", "toy", "--expert", "x", "--out", str(tmp_path / "r")]) == 2
    assert f'There is no expert "x" for {ROLE}' in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_installed_packages_bring_all_three(registries, frames, tmp_path, monkeypatch):
    site = tmp_path / "site"
    for group, part in (("engines", "ENGINE"), ("experts", "EXPERT"), ("presets", "PRESET")):
        install(site, f"ar4d.{group}", part.lower(), f"from tests.support.toy_engine import {part} as PART")
    monkeypatch.syspath_prepend(site)
    assert isinstance(engines.engine_named("toy"), ToyEngine)
    assert EXPERT in experts.of_role(ROLE)
    settings = parse_settings({"engine": "toy", "points": 4})
    assert settings == ToySettings(points=4)
    assert main(["lift", str(frames), "--preset", "toy-five", "--out", str(tmp_path / "run")]) == 0
    assert Run.open(tmp_path / "run").record.experts == {ROLE: "centroid"}


def test_a_run_of_an_engine_that_is_gone_is_a_sentence(registries, tmp_path):
    engines.register(ENGINE)
    run = Run.create(tmp_path / "run", Recipe("ball", ClipSettings(), ToySettings()), make_clip(1, 32))
    del engines._registered["toy"]
    with pytest.raises(UserError, match=r'no engine "toy"; choose one of: ar4d'):
        Run.open(run.folder)
