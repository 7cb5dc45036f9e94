"""The registry: a format from outside takes one call or one entry point, and is known everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.page.export_forms import groups
from ar4d.asset import load_asset
from ar4d.cli import main
from ar4d.errors import UserError
from ar4d.formats import (
    FORMATS,
    Format,
    SplatOptions,
    VideoOptions,
    export,
    find_format,
    register,
    timeline,
)
from ar4d.formats.sizes import Content
from tests.support.finished import finished_run
from tests.support.moving import SpinningBall

EXAMPLE = Path(__file__).parents[2] / "assets" / "example_run"
PLUGIN = '''
from dataclasses import dataclass
from ar4d.formats import Format

@dataclass(frozen=True)
class Options:
    """What the file says."""
    greeting: str = "hello"
    """Its first word."""

def write(asset, out, options):
    out.write_text(f"{options.greeting} {asset.num_frames}")
    return [out]

FORMAT = Format("hello", "HELLO: a text", ".hello", Options, write)
BROKEN = 1 / 0
'''


@dataclass(frozen=True)
class NoteOptions:
    word: str = "frames"


def write_note(asset, out: Path, options: NoteOptions) -> list[Path]:
    out.write_text(f"{asset.num_frames} {options.word}")
    return [out]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return finished_run(tmp_path_factory.mktemp("formats") / "run", SpinningBall()).folder


@pytest.fixture
def note():
    yield register(Format("note", "NOTE: a text", ".note.txt", NoteOptions, write_note))
    del FORMATS["note"]


def test_a_registered_format_is_exported_and_listed(tmp_path, note):
    assert find_format("note") is note
    (path,) = export(SpinningBall(), "note", tmp_path / "a.note.txt", NoteOptions("pictures"))
    assert path.read_text() == "3 pictures"
    assert note.default_name(NoteOptions()) == "asset.note.txt"
    with pytest.raises(ValueError, match='a format "note" already'):
        register(note)
    with pytest.raises(UserError, match=r"a\.note\.txt names a file, but a sequence needs a folder"):
        export(SpinningBall(), "ply", tmp_path / "b" / "a.note.txt")
    with pytest.raises(UserError, match='note has no option "size"; its options are: word'):
        note.make_options({"size": 3})


def install_plugin(folder: Path, attribute: str) -> dict[str, str]:
    """A package with an entry point, as pip leaves it; returns the environment that sees it."""
    folder.mkdir()
    body = PLUGIN if attribute == "BROKEN" else PLUGIN.replace("BROKEN = 1 / 0\n", "")
    (folder / "hello_format.py").write_text(body)
    info = folder / "hello_format-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hello-format\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ar4d.formats]\nhello = hello_format:{attribute}\n")
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parents[2]}"}


def run_cli(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ar4d", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_an_entry_point_appears_in_the_command_line(tmp_path, run):
    environment = install_plugin(tmp_path / "site", "FORMAT")
    told = run_cli(["export", "--format", "hello", "--help"], environment)
    assert told.returncode == 0, told.stderr
    assert "HELLO: a text" in told.stdout
    assert "--greeting" in told.stdout
    out = tmp_path / "a.hello"
    made = run_cli(
        ["export", str(run), "--format", "hello", "--greeting", "hi", "--out", str(out)], environment
    )
    assert made.returncode == 0, made.stderr
    assert out.read_text() == "hi 3"
    refused = run_cli(["export", str(run), "--format", "stl"], environment)
    assert refused.returncode == 2
    assert "hello" in refused.stderr


def test_a_broken_entry_point_costs_only_its_own_format(tmp_path, run):
    environment = install_plugin(tmp_path / "site", "BROKEN")
    made = run_cli(
        ["export", str(run), "--format", "ply", "--time", "0", "--out", str(tmp_path / "a.ply")],
        environment,
    )
    assert made.returncode == 0, made.stderr
    refused = run_cli(["export", str(run), "--format", "hello"], environment)
    assert refused.returncode == 2
    assert 'The plugin "hello" of the package hello-format cannot be imported' in refused.stderr
    assert "(ZeroDivisionError: division by zero); update or uninstall that package." in refused.stderr


def test_a_missing_package_is_named_with_its_remedy(tmp_path):
    missing = Format("x", "X", ".x", NoteOptions, write_note, module="no_such_module", extra="x")
    register(missing)
    try:
        assert not missing.available
        with pytest.raises(UserError, match=r"needs the package no_such_module; .* pip install ar4d\[x\]"):
            export(SpinningBall(), "x", tmp_path / "a.x")
    finally:
        del FORMATS["x"]


def test_the_help_names_every_format(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--format", "spz", "--help"])
    told = capsys.readouterr().out
    assert "--for" in told
    assert "SuperSplat" in told
    for name, format in FORMATS.items():
        assert name in told
        assert format.label.split(":")[0] in told


def test_the_page_has_a_card_for_every_format_with_its_options(note):
    cards = {card["name"]: card for group in groups() for card in group["cards"]}
    assert set(cards) == {*FORMATS, "cutout"}
    assert cards["note"]["fields"][0] == {
        "name": "word", "label": "Word", "kind": "string", "default": "frames", "optional": False, "hint": "",
    }  # fmt: skip
    for name, format in FORMATS.items():
        fields = {field["name"]: field for field in cards[name]["fields"]}
        assert format.option_names - set(fields) <= {"path", "target", "input"}  # taken from the run
        format.make_options({field: facts["default"] for field, facts in fields.items()})
        for field, facts in fields.items():
            assert name == "note" or facts["hint"], f"{name} does not explain {field}"
    fields = {field["name"]: field for field in cards["compressed-ply"]["fields"]}
    assert fields["viewer"]["default"] == "supersplat"
    assert [choice["value"] for choice in fields["viewer"]["choices"]][:2] == ["supersplat", "three"]
    assert {field["name"]: field["default"] for field in cards["mp4"]["fields"]}["fps"] == 30


def test_options_of_strangers_are_checked():
    for values, sentence in (
        ({"fps": "fast"}, r"The option fps: .* \(mp4\)"),
        ({"size": 1.5}, "The option size"),
        ({"direction": "up"}, "The option direction"),
        ({"path": {"keys": 7}}, r"The option path.*keys"),
    ):
        with pytest.raises(UserError, match=sentence):
            find_format("mp4").make_options(values)
    options = find_format("mp4").make_options({"path": {"keys": [{}, {"azimuth_deg": 90}]}, "seconds": None})
    assert options.path.keys[1].azimuth_deg == 90


@pytest.mark.parametrize("name", ["mp4", "webm", "gif", "ply", "compressed-ply", "spz", "sog", "splat-glb"])
def test_an_estimate_is_near_the_size(tmp_path, name):
    asset = load_asset(EXAMPLE)
    format = find_format(name)
    values = {"seconds": 0.5, "size": 256} if issubclass(format.options, VideoOptions) else {"num_frames": 2}
    options = format.make_options(values)
    files = export(asset, name, tmp_path / format.default_name(options), options)
    size = sum(path.stat().st_size for path in files if path.suffix != ".txt")
    assert format.estimate is not None
    content = Content(len(asset.at(0.0)), asset.num_frames, timeline.duration(asset))
    assert 0.33 < format.estimate(content, options) / size < 3


def test_a_format_that_cannot_work_is_refused_when_it_is_made():
    with pytest.raises(ValueError, match="must start with a dot"):
        Format("x", "X", "x", NoteOptions, write_note)
    with pytest.raises(TypeError, match="must be a dataclass"):
        Format("x", "X", ".x", str, write_note)
    with pytest.raises(TypeError, match="its options need `time`"):
        Format("x", "X", ".x", NoteOptions, write_note, per_frame=True)
    assert (
        Format("x", "X", ".x", SplatOptions, write_note, per_frame=True).default_name(SplatOptions()) == "x"
    )
