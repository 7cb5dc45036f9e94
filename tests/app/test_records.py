"""Stored records that are cut short, of another version or of wrong types fail with one sentence."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from app.page.settings_form import SettingsForm, change, leaves
from app.runs.drafts import CutoutRecord
from app.runs.estimates import Estimator
from app.runs.limits import Limits
from app.runs.storage import JobRecord, Storage, new_token, read_job_record, update_job_record
from ar4d.clip import ClipSettings
from ar4d.errors import UserError
from ar4d.presets import CPU

JOB = {"name": "ball", "created": 10.0, "enqueued": True, "attempts": 1}
CUTOUT = dataclasses.asdict(
    CutoutRecord(
        settings=ClipSettings(num_frames=3),
        size=64,
        num_frames=3,
        numbers=[1, 2, 3],
        num_chosen=3,
        fastest=0.1,
        frames_needed=3,
        facing=(10.0, 0.6),
        fps=10.0,
        length=0.2,
        source_frames=3,
        width=128,
        height=80,
        crop=(0.0, 0.0, 80.0),
        matting="alpha",
        warnings=[],
        whole_tile=(128, 80),
        strip_tile=(64, 40),
        strip_count=3,
    )
)


def damaged(record: dict[str, Any], number: str, field: str) -> list[tuple[str, str]]:
    """Texts of a damaged file, and what the message has to name."""
    whole = json.dumps(record)
    return [
        ("", "invalid JSON"),
        (whole[: len(whole) // 2], "invalid JSON"),
        ("[1, 2]", "object"),
        ("null", "object"),
        (json.dumps({**record, number: "many"}), number),
        (json.dumps({**record, number: None}), number),
        (json.dumps({name: value for name, value in record.items() if name != field}), field),
        (json.dumps({**record, "colour": 1}), "colour: this version does not know it"),
    ]


@pytest.mark.parametrize(("text", "named"), damaged(JOB, "created", "name"))
def test_a_damaged_job_record_is_one_sentence(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "job.json").write_text(text)
    for read in (read_job_record, lambda folder: update_job_record(folder, pinned=True)):
        with pytest.raises(UserError, match=r"job\.json is not a job's record") as raised:
            read(tmp_path)
        assert named in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("text", "named"), damaged(CUTOUT, "size", "fps"))
def test_a_damaged_cutout_record_is_one_sentence(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "draft.json").write_text(text)
    with pytest.raises(UserError, match=r"draft\.json is not a cut-out's record") as raised:
        CutoutRecord.read(tmp_path)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


def test_whole_records_are_read(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(JOB))
    (tmp_path / "draft.json").write_text(json.dumps(CUTOUT))
    assert read_job_record(tmp_path) == JobRecord("ball", 10.0, True, 1)
    assert CutoutRecord.read(tmp_path).settings == ClipSettings(num_frames=3)
    assert CutoutRecord.read(tmp_path).numbers == [1, 2, 3]


def test_records_of_the_first_version_are_read(tmp_path: Path) -> None:
    job = {"name": "ball", "created": 10.0, "wanted": True, "attempts": 2, "pinned": True, "share": None}
    (tmp_path / "job.json").write_text(json.dumps({**job, "command_source": "ball.mp4"}))
    assert read_job_record(tmp_path) == JobRecord("ball", 10.0, True, 2, True, None, "ball.mp4")
    assert update_job_record(tmp_path, enqueued=False).attempts == 2
    assert not read_job_record(tmp_path).enqueued
    old = {
        name: value for name, value in CUTOUT["settings"].items() if name in ("start", "end", "num_frames")
    }
    (tmp_path / "draft.json").write_text(json.dumps({**CUTOUT, "settings": old}))
    assert CutoutRecord.read(tmp_path).settings.num_frames == 3


def test_a_damaged_job_record_hides_no_other_run(tmp_path: Path) -> None:
    storage, token = Storage(tmp_path, Limits(runs=1)), new_token()
    runs = [storage.new_run(token) for _ in range(3)]
    for created, run in enumerate(runs):
        run.mkdir(parents=True)
        (run / "run.json").write_text("{}")
        (run / "job.json").write_text(json.dumps({"name": "ball", "created": 1.0 + created}))
    (runs[0] / "job.json").write_text("{")
    assert set(storage.runs(token)) == set(runs)
    assert storage.shared("A" * 22) is None
    storage.require_turn(token)
    assert runs[0] not in storage.clean_up()  # a run that cannot be judged is not deleted
    assert runs[0].exists()


def test_a_damaged_timing_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "timings.jsonl"
    estimator = Estimator(path)
    estimator.learn(CPU, 4, "cpu", {"generate": 5.0}, 10**9)
    path.write_text('{"device": "cpu", "nom\n' + '{"device": 3}\n' + path.read_text())
    with caplog.at_level(logging.WARNING):
        assert Estimator(path).estimate(CPU, 4, "cpu").runs == 1
    assert caplog.text.count("A line of") == 2
    assert "invalid JSON" in caplog.text
    assert "device: input should be a valid string, not 3" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generate.iterations": -1}, "generate.iterations"),
        ({"generate.iterations": 2.5}, "generate.iterations"),
        ({"generate.l1": 1.5}, "generate.l1"),
        ({"refine.field.lr": float("nan")}, "refine.field.lr"),
        ({"elevation_deg": 120}, "elevation_deg"),
        ({"size": 1}, "size"),
        ({"facing": "up"}, "facing"),
        ({"refine.enabled": "perhaps"}, "refine.enabled"),
        ({"refine": {}}, '"refine"'),
        ({"engine": "other"}, '"engine"'),
        ([], "dictionary"),
    ],
)
def test_settings_out_of_bounds_are_one_sentence(changes: Any, message: str) -> None:
    with pytest.raises(UserError) as raised:
        change(CPU, changes)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_command_line_has_the_same_bounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ar4d.cli import main

    code = main(["lift", "assets/examples/fish.mp4", "--out", str(tmp_path / "run"), "--generate.l1", "1.5"])
    assert code == 2
    assert "generate.l1: input should be less than or equal to 1, not 1.5" in capsys.readouterr().err


def test_every_setting_has_a_component_and_a_description() -> None:
    import gradio as gr

    form = SettingsForm()
    with gr.Blocks():
        for group in ("", *{key.split(".")[0] for key in leaves() if "." in key}):
            form.rest(group)
    assert len(form.components) == len(leaves()) - 2  # all but engine and preset
    assert form.read("cpu", form.updates(CPU)) == CPU
    assert "Eq. 6" in leaves()["generate.max_azimuth"].schema["description"]
    assert leaves()["size"].schema["description"]  # inherited from all engines' settings
