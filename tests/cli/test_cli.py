"""The command line as a user meets it: results, exit codes, one sentence for every mistake."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from ar4d.cli import main
from ar4d.clip import ClipSettings
from ar4d.runs import Recipe, Run
from ar4d.settings import Settings
from tests.conftest import ball_frames, make_clip, quick
from tests.support.bench_folder import moving_gaussians, write_object

ROOT = Path(__file__).parents[2]
QUICK = [
    "--size=64", "--pseudo-size=32", "--device=cpu", "--num-frames=3", "--preset=cpu",
    "--initialize.gaussians=500", "--initialize.iterations=20",
    "--generate.iterations=15", "--generate.steps-per-degree=0.08", "--generate.field.nodes=32",
    "--refine.iterations=30", "--refine.warm-start=10", "--refine.field.nodes=32",
]  # fmt: skip


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "ball"
    folder.mkdir()
    for k, frame in enumerate(ball_frames(3, 96)):
        Image.fromarray(frame).save(folder / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def run(frames, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["lift", str(frames), "--out", str(folder), *QUICK]) == 0
    return folder


def complaint(capsys, *argv: str) -> str:
    """Runs a command that must fail: exit code 2, one sentence, no traceback."""
    assert main(list(argv)) == 2
    text = capsys.readouterr().err.strip()
    assert text.startswith("ar4d: ")
    assert "Traceback" not in text
    assert len(text.splitlines()) == 1
    return text


def settings_of(folder: Path) -> Settings:
    settings = Run.open(folder).record.recipe.settings
    assert isinstance(settings, Settings)
    return settings


def test_lift_makes_a_finished_run(run):
    assert Run.open(run).status == "finished"
    assert Run.open(run).clip.num_frames == 3
    assert settings_of(run).generate.iterations == 15


def test_info_tells_what_the_run_is(run, capsys):
    assert main(["info", str(run)]) == 0
    text = capsys.readouterr().out
    for part in ("finished", "3 of 3", "embedded", "PSNR", "alpha"):
        assert part in text


def test_replay_gives_the_same_asset(run, tmp_path, capsys):
    again = tmp_path / "again"
    assert main(["lift", "--from", str(run / "run.json"), "--out", str(again)]) == 0
    assert "the object faces" in capsys.readouterr().err
    assert (again / "refined.safetensors").read_bytes() == (run / "refined.safetensors").read_bytes()


def test_replay_takes_changes(run, tmp_path):
    other = tmp_path / "other"
    argv = ["lift", "--from", str(run / "run.json"), "--out", str(other), "--refine.no-enabled", "--seed=7"]
    assert main(argv) == 0
    settings = settings_of(other)
    assert (settings.refine.enabled, settings.seed, settings.generate.iterations) == (False, 7, 15)


def test_render_writes_numbered_frames_and_videos(run, tmp_path):
    assert main(["render", str(run), "--out", str(tmp_path / "f"), "--azimuth=90", "--size=48"]) == 0
    pictures = sorted(path.name for path in (tmp_path / "f").iterdir())
    assert pictures == ["0000.png", "0001.png", "0002.png"]
    assert iio.imread(tmp_path / "f/0000.png").shape == (48, 48, 3)
    assert main(["render", str(run), "--out", str(tmp_path / "v.mp4"), "--size=48"]) == 0
    assert len(iio.imread(tmp_path / "v.mp4")) == 3


def test_render_of_one_time_and_transparency(run, tmp_path):
    argv = ["render", str(run), "--out", str(tmp_path), "--time=0.5", "--size=48", "--background=transparent"]
    assert main(argv) == 0
    picture = iio.imread(tmp_path / "0000.png")
    assert picture.shape == (48, 48, 4)
    assert picture[0, 0, 3] == 0
    assert picture[24, 24, 3] > 200


def test_reference_render_shows_the_clip(run, tmp_path):
    main(["render", str(run), "--out", str(tmp_path), "--size=64"])
    target = Run.open(run).clip.rgb_on_white().numpy()
    for k in range(3):
        picture = iio.imread(tmp_path / f"{k:04d}.png") / 255
        assert -10 * np.log10(((picture - target[k]) ** 2).mean()) > 20


def test_export_has_a_default_place(run, capsys):
    assert main(["export", str(run), "--format=ply", "--time=0.0"]) == 0
    path = Path(capsys.readouterr().out.splitlines()[0])  # a note on its conventions follows
    assert path.read_bytes().startswith(b"ply")
    assert run in path.parents


def test_evaluate_prints_a_table_and_writes_json(run, frames, tmp_path, capsys):
    views = write_object(tmp_path / "truth", moving_gaussians(3))
    assert main(["evaluate", str(run), "--views", str(views)]) == 0
    assert "PSNR" in capsys.readouterr().out
    assert json.loads((run / "evaluation.json").read_text())["views"]


def test_evaluate_needs_no_ground_truth(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    assert "fraying" in capsys.readouterr().out
    assert json.loads((run / "evaluation.json").read_text())["reference_psnr"] > 0


def test_doctor_and_presets(capsys):
    assert main(["doctor"]) == 0
    assert "silhouette" in capsys.readouterr().out
    assert main(["presets"]) == 0
    assert "generate.iterations" in capsys.readouterr().out


def test_overview(capsys):
    assert main([]) == 0
    assert "evaluate" in capsys.readouterr().out


def test_help_lists_the_switches(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["lift", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for switch in ("initialize.finetune", "generate.autoregressive", "progressive-views", "refine.enabled"):
        assert switch in text


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["fly"], 'no command "fly"'),
        (["lift"], "needs a clip (or --prompt) and --out"),
        (["lift", "a.mp4"], "needs a clip (or --prompt) and --out"),
        (["lift", "a.mp4", "--out=x", "--preset=best"], 'no preset "best"'),
        (["lift", "--resume"], "--resume needs --out"),
        (["info", "no-such-run"], "holds no run"),
        (["render", "no-such-run", "--out=x"], "holds no run"),
        (["export", "no-such-run", "--format=stl"], 'no format "stl"'),
        (["lift", "--from=no-such-run.json", "--out=x"], "cannot be read"),
    ],
)
def test_mistakes_are_sentences(argv, part, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert part in complaint(capsys, *argv)
    assert not list(tmp_path.iterdir())


def test_bad_clips_leave_no_run_behind(capsys, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("this is no video")
    empty = tmp_path / "empty"
    empty.mkdir()
    for clip in (text, empty, tmp_path / "missing.mp4"):
        assert clip.name in complaint(capsys, "lift", str(clip), "--out", str(tmp_path / "run"), *QUICK)
    assert not (tmp_path / "run").exists()


def test_existing_run_is_not_touched(run, frames, capsys):
    before = (run / "run.json").read_bytes()
    assert "--resume" in complaint(capsys, "lift", str(frames), "--out", str(run), *QUICK)
    assert "finished already" in complaint(capsys, "lift", "--resume", "--out", str(run))
    assert (run / "run.json").read_bytes() == before


def test_unknown_expert(frames, tmp_path, capsys):
    out = str(tmp_path / "run")
    text = complaint(capsys, "lift", str(frames), "--out", out, *QUICK, "--initialize.expert=oracle")
    assert 'no expert "oracle"' in text
    assert "silhouette" in text
    assert not (tmp_path / "run").exists()


def test_unfinished_run_cannot_be_rendered(tmp_path, capsys):
    Run.create(tmp_path / "run", Recipe("ball", ClipSettings(), quick()), make_clip())
    assert "is not finished" in complaint(
        capsys, "render", str(tmp_path / "run"), "--out", str(tmp_path / "f")
    )


def test_gpu_that_is_not_there(frames, tmp_path, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    text = complaint(capsys, "lift", str(frames), "--out", str(tmp_path / "r"), *QUICK[:2], "--device=cuda")
    assert "No CUDA device" in text


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(tmp_path):
    settings = replace(quick(), generate=replace(quick().generate, iterations=40, steps_per_degree=0.2))
    run = Run.create(tmp_path / "run", Recipe("ball", ClipSettings(), settings), make_clip())
    command = [sys.executable, "-m", "ar4d", "lift", "--resume", "--out", str(run.folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background jobs
    )
    while not run.frame_path(1).exists():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "what was finished is kept" in errors
    assert "Traceback" not in errors
    assert Run.open(run.folder).status == "stopped"
    assert main(["lift", "--resume", "--out", str(run.folder)]) == 0
    assert Run.open(run.folder).status == "finished"
