import dataclasses
import json

import huggingface_hub.constants as hub
import pytest

from ar4d.errors import UserError
from ar4d.weights.downloads import download
from ar4d.weights.hub import fetch, verify_release
from ar4d.weights.release import Release, locate, weight_files
from tests.support.hub_mirror import Mirror

REPO = "someone/model"
BIG = bytes(range(256)) * 4000
SHARDED = Release(REPO, ("config.json",), 0.1, "MIT", weights=("net/model",))


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "hub" / REPO
    (folder / "net").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "net/model-1.safetensors").write_bytes(BIG)
    (folder / "net/model-2.safetensors").write_bytes(BIG[::-1])
    parts = {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}
    (folder / "net/model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    return folder


def test_a_download_tells_how_far_it_is(mirror: Mirror, files):
    seen = []
    path = download(REPO, "net/model-1.safetensors", lambda *news: seen.append(news))
    assert path.read_bytes() == BIG
    assert seen[-1] == (f"{REPO}/net/model-1.safetensors", len(BIG), len(BIG))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_a_listener_can_stop_a_download_and_the_next_one_goes_on(mirror: Mirror, files):
    class Enough(Exception):
        pass

    def stop(name, done, total):
        raise Enough

    with pytest.raises(Enough):
        download(REPO, "net/model-1.safetensors", stop)
    assert download(REPO, "net/model-1.safetensors").read_bytes() == BIG


def test_a_download_that_broke_off_goes_on_where_it_stopped(mirror: Mirror, files, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client's pauses between attempts
    mirror.break_after = 300_000
    assert download(REPO, "net/model-1.safetensors").read_bytes() == BIG
    starts = [start for name, start in mirror.requests if name == "model-1.safetensors"]
    assert starts[0] == 0
    assert starts[-1] > 0


def test_what_arrives_damaged_is_deleted_and_named(mirror: Mirror, files, tmp_path):
    mirror.spoil = {"model-1.safetensors"}
    with pytest.raises(UserError, match=r"model-1.safetensors was damaged on its way .* fetch it again"):
        download(REPO, "net/model-1.safetensors")
    mirror.spoil = set()
    assert download(REPO, "net/model-1.safetensors").read_bytes() == BIG


def test_weights_in_parts_come_whole(mirror: Mirror, files):
    assert locate(SHARDED) is None
    root = fetch(SHARDED)
    assert weight_files(root, "net/model") == ["net/model-1.safetensors", "net/model-2.safetensors"]
    assert locate(SHARDED) == root
    assert verify_release(SHARDED, root) == []
    (root / "net/model-2.safetensors").unlink()
    assert locate(SHARDED) is None


def test_weights_in_one_file_come_too(mirror: Mirror, files):
    (files / "net/model.safetensors.index.json").unlink()
    (files / "net/model.safetensors").write_bytes(BIG)
    root = fetch(SHARDED)
    assert weight_files(root, "net/model") == ["net/model.safetensors"]
    assert (root / "net/model.safetensors").read_bytes() == BIG


def test_a_disk_that_is_too_small_is_told_before_the_download(mirror: Mirror, files):
    huge = dataclasses.replace(SHARDED, gib=1e6)
    with pytest.raises(UserError, match=r"needs 1000000.0 GiB of disk and .* has .* GiB free; free some"):
        fetch(huge)
    assert mirror.requests == []


def test_a_folder_can_be_carried_to_a_machine_without_a_network(mirror: Mirror, files, tmp_path, monkeypatch):
    root = fetch(SHARDED, to=tmp_path / "stick" / REPO)
    assert root == tmp_path / "stick" / REPO
    assert verify_release(SHARDED, root) == []
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        fetch(SHARDED)
    monkeypatch.setenv("AR4D_WEIGHTS", str(tmp_path / "stick"))
    assert fetch(SHARDED) == root
    damaged = (root / "net/model-1.safetensors").read_bytes()
    (root / "net/model-1.safetensors").write_bytes(damaged[:-1] + b"!")
    with pytest.raises(UserError, match="damaged on its way"):
        verify_release(SHARDED, root)
