import dataclasses
import json

import pytest

from ar4d.cli import main
from ar4d.experts import registry
from ar4d.experts.protocols import Unavailable
from ar4d.experts.registry import Entry
from ar4d.weights.release import Release
from tests.support.hub_mirror import Mirror
from tests.support.plugins import registries as registries  # a fixture

SILHOUETTE = registry.named("silhouette")
PAIR = Release("someone/pair", ("config.json", "model.safetensors"), 0.1, "MIT")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AR4D_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AR4D_ACCEPT", raising=False)


@pytest.fixture
def hub_files(tmp_path):
    folder = tmp_path / "hub/someone/pair"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"a": 1}))
    (folder / "model.safetensors").write_bytes(b"w" * 1000)
    return folder


def entry(name: str, **changes) -> Entry:
    plain = Entry(name, ("views_to_gaussians",), "makes things", lambda d: None, lambda d: None, (PAIR,))
    return dataclasses.replace(plain, **changes)


def test_the_table_shows_needs_sizes_and_licences_before_any_download(capsys, registries):
    strict = entry("strict", acceptance="CC BY-NC 4.0")
    blocked = entry("blocked", gpu_gib=24.0, check=lambda d: Unavailable("blocked needs a larger GPU."))
    registry.register(blocked)
    registry.register(strict)
    assert main(["experts"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split("  ")[0]: " ".join(line.split()) for line in lines}
    assert rows["blocked"].startswith("blocked no GPU, 24 GiB free 0.1 GiB MIT makes things")
    assert "MIT, to be accepted" in rows["strict"]
    assert rows["silhouette"].startswith("silhouette yes CPU or GPU none")
    assert rows["embedded"].startswith("embedded yes CPU or GPU none CC BY-SA 3.0")
    assert "4.5 GiB OpenRAIL + MIT" in rows["imagedream-lgm"]
    assert "blocked: blocked needs a larger GPU." in lines
    assert any(line.startswith("strict: strict is under CC BY-NC 4.0") for line in lines)


def test_fetch_brings_everything_and_says_where(capsys, mirror: Mirror, hub_files, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "ENTRIES", (entry("one"), entry("two"), SILHOUETTE))
    assert main(["fetch", "--verify"]) == 0
    output = capsys.readouterr()
    root = output.out.strip()  # one line: the two share a release
    assert root.startswith(str(tmp_path / "cache"))
    assert (tmp_path / "cache").is_dir()
    assert "one: 0.1 GiB, MIT" in output.err
    assert [name for name, _ in mirror.requests] == ["config.json", "model.safetensors"]
    assert main(["fetch", "two", "--to", str(tmp_path / "stick")]) == 0
    assert (tmp_path / "stick/someone/pair/model.safetensors").read_bytes() == b"w" * 1000


def test_a_licence_has_to_be_accepted_once(capsys, mirror: Mirror, hub_files, monkeypatch):
    monkeypatch.setattr(registry, "ENTRIES", (entry("strict", acceptance="CC BY-NC 4.0"), SILHOUETTE))
    assert main(["fetch"]) == 0  # passes it over
    assert mirror.requests == []
    capsys.readouterr()
    assert main(["fetch", "strict"]) == 2
    assert capsys.readouterr().err.strip() == (
        "ar4d: strict is under CC BY-NC 4.0, which a user has to accept: read it, then say so with "
        "`ar4d fetch strict --accept-licence`."
    )
    assert main(["fetch", "strict", "--accept-licence"]) == 0
    assert main(["fetch", "strict"]) == 0


def test_fetch_of_nothing_known(capsys):
    assert main(["fetch", "nothing"]) == 2
    assert 'There is no expert "nothing"; choose one of:' in capsys.readouterr().err


def test_fetch_without_the_files(capsys, mirror: Mirror, registries):
    registry.register(entry("one"))
    assert main(["fetch", "one"]) == 2
    assert "The hub lacks a file of someone/pair" in capsys.readouterr().err
