import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants as hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from ar4d.errors import UserError
from ar4d.experts.hardware import half_precision, missing_gpu
from ar4d.experts.lgm.expert import LGM, WEIGHTS
from ar4d.experts.lgm.model import LgmNetwork
from ar4d.weights.hub import fetch, why_unavailable
from ar4d.weights.loading import load_weights, shapes_of
from ar4d.weights.release import Release, locate
from tests.support.toy_networks import LGM_TOY, hashed_weights, save_lgm, toy_lgm

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def one_sentence(message: str) -> bool:
    return "\n" not in message and message.endswith(".") and ". " not in message.replace("…", "")


def release_of(path: Path) -> Release:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return dataclasses.replace(WEIGHTS, sha256={path.name: digest})


def fill_cache(home: Path, path: Path, repo: str = WEIGHTS.repo) -> None:
    """Lays a file down as the hub's client does: a blob, a snapshot of links, a branch."""
    root = home / "hub" / f"models--{repo.replace('/', '--')}"
    blob = root / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
    snapshot = root / "snapshots" / COMMIT
    for folder in (blob.parent, snapshot, root / "refs"):
        folder.mkdir(parents=True)
    blob.write_bytes(path.read_bytes())
    (snapshot / path.name).symlink_to(blob)
    (root / "refs/main").write_text(COMMIT)


def refused(path: Path) -> str:
    with torch.device("meta"):
        network = LgmNetwork(LGM_TOY)
    with pytest.raises(UserError) as refusal:
        load_weights(network, path, device="cpu")
    message = str(refusal.value)
    assert one_sentence(message)
    assert str(path) in message
    return message


def test_a_folder_gives_the_weights_it_holds(tmp_path):
    release = release_of(save_lgm(tmp_path))
    loaded = LGM.load("cpu", tmp_path, config=LGM_TOY, weights=release).network
    expected = toy_lgm().state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in loaded.state_dict().items())
    assert loaded.conv.weight.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert not loaded.training


def test_the_hub_cache_serves_without_a_network(tmp_path):
    """In a process of its own: the hub's client reads HF_HOME and HF_HUB_OFFLINE when it is imported."""
    path = save_lgm(tmp_path)
    fill_cache(tmp_path / "home", path)
    script = (
        "from ar4d.experts.lgm.expert import LGM; from tests.support.toy_networks import LGM_TOY\n"
        "from tests.weights.test_checkpoints import release_of; from pathlib import Path; import sys\n"
        "release = release_of(Path(sys.argv[1]))\n"
        "print(LGM.load('cpu', config=LGM_TOY, weights=release).network.conv.weight.sum().item())\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    run = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(toy_lgm().conv.weight.sum().item(), abs=1e-6)


def test_keys_may_have_a_prefix_and_leftovers(tmp_path):
    weights = hashed_weights(LgmNetwork(LGM_TOY))
    old = {f"model.{key}": value for key, value in weights.items()}
    save_file({**old, "model.position_ids": torch.arange(3)}, tmp_path / "old.safetensors")
    with torch.device("meta"):
        network = LgmNetwork(LGM_TOY)
    load_weights(network, tmp_path / "old.safetensors", device="cpu", prefix="model.", ignored="position_ids")
    assert torch.equal(network.conv.weight, weights["conv.weight"])


def test_a_file_that_does_not_fit_is_refused_by_key_and_shape(tmp_path):
    weights = load_file(save_lgm(tmp_path))
    path = tmp_path / "wrong.safetensors"
    save_file({**weights, "conv.weight": torch.zeros(12, 14, 1, 1)}, path)
    assert "the shape of conv.weight is [12, 14, 1, 1] instead of [14, 14, 1, 1]; take" in refused(path)
    save_file({key: value for key, value in weights.items() if key != "unet.conv_in.weight"}, path)
    assert "it lacks unet.conv_in.weight [32, 9, 3, 3]; take" in refused(path)
    save_file({**weights, "lpips.a": torch.zeros(2), "lpips.b": torch.zeros(3)}, path)
    assert "it has the unknown lpips.a [2] and 1 more; take" in refused(path)


@pytest.mark.parametrize("size", [0, 100, 3000, -1])
def test_a_file_that_is_cut_short_is_refused(tmp_path, size):
    path = save_lgm(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    assert "is cut short or damaged" in refused(path)


def test_a_missing_file_is_refused(tmp_path):
    assert "There is no file" in refused(tmp_path / "nothing.safetensors")


def test_another_version_of_the_file_is_refused(tmp_path):
    path = save_lgm(tmp_path)
    release = release_of(path)
    save_file({key: -value for key, value in load_file(path).items()}, path)
    with pytest.raises(UserError, match="is not the published model_fp16_fixrot") as refusal:
        fetch(release, tmp_path)
    assert one_sentence(str(refusal.value))


def test_lgms_first_release_is_refused_with_the_reason(tmp_path):
    save_lgm(tmp_path).rename(tmp_path / "model_fp16.safetensors")
    with pytest.raises(UserError, match="rotations normalised along the wrong axis") as refusal:
        LGM.load("cpu", tmp_path)
    assert one_sentence(str(refusal.value))
    assert "hf download ashawkey/LGM model_fp16_fixrot.safetensors" in str(refusal.value)


def test_an_incomplete_folder_names_what_it_lacks(tmp_path):
    release = Release("someone/pair", ("a/one.json", "b/two.json"), 0.1, "MIT")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.json").write_text("{}")
    assert locate(release, tmp_path) is None
    reason = why_unavailable(release, tmp_path)
    assert reason is not None
    assert "lacks b/two.json of someone/pair (0.1 GiB, MIT); fetch it: `hf download someone/pair" in reason
    assert one_sentence(reason)


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download uses, or one refusal for everything."""

    content = b"{}"
    refusal: tuple[int, str | None] | None = None

    def do_HEAD(self):
        status, code = self.refusal or (200, None)
        self.send_response(status)
        headers = {"X-Repo-Commit": COMMIT, "ETag": '"abc"', "Content-Length": str(len(self.content))}
        for name, value in (headers if status == 200 else {"X-Error-Code": code or "none"}).items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def local_hub(tmp_path, monkeypatch):
    """A server on this machine that takes the hub's place, and an empty cache."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(hub, "ENDPOINT", endpoint)
    monkeypatch.setattr(
        hub, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(Hub, "refusal", None)
    yield server
    server.shutdown()
    server.server_close()


PAIR = Release("someone/pair", ("a/one.json", "two.json"), 0.1, "MIT")


def test_what_the_cache_lacks_is_downloaded_once(local_hub, monkeypatch):
    assert locate(PAIR) is None
    assert why_unavailable(PAIR) is None  # it can be fetched
    assert locate(PAIR) is None  # and asking did not fetch it
    root = fetch(PAIR)
    assert json.loads((root / "a/one.json").read_text()) == {}
    assert (root / "two.json").is_file()
    monkeypatch.setattr(Hub, "refusal", (503, None))
    assert fetch(PAIR) == root
    assert locate(PAIR) == root


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "GatedRepo", "accept it on"),
        (401, "RepoNotFound", "log in with `hf auth login`"),
        (404, "EntryNotFound", "see http"),
        (500, None, "try again later"),
    ],
)
def test_every_refusal_of_the_hub_is_one_sentence_with_a_remedy(local_hub, monkeypatch, status, code, said):
    monkeypatch.setattr(Hub, "refusal", (status, code))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client's pauses between attempts
    with pytest.raises(UserError) as refusal:
        fetch(PAIR)
    reason = why_unavailable(PAIR)
    assert reason is not None
    assert reason == str(refusal.value)
    assert said in reason
    assert "someone/pair" in reason
    assert one_sentence(reason)


def test_a_hub_that_cannot_be_reached(local_hub, monkeypatch):
    local_hub.shutdown()
    local_hub.server_close()
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    reason = why_unavailable(PAIR)
    assert reason is not None
    with pytest.raises(UserError) as refusal:
        fetch(PAIR)
    assert reason == str(refusal.value)
    assert "cannot be reached; connect, or bring them from elsewhere: `hf download someone/pair" in reason
    assert one_sentence(reason)


def test_offline_mode_says_so(local_hub, monkeypatch):
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    reason = why_unavailable(PAIR)
    assert reason is not None
    assert "HF_HUB_OFFLINE is set; unset it" in reason
    assert one_sentence(reason)


def test_a_cache_that_cannot_be_written(local_hub, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot be written to") as refusal:
        fetch(PAIR)
    assert one_sentence(str(refusal.value))


def test_without_a_gpu_the_sentence_says_what_is_needed():
    on_cpu = missing_gpu("LGM", "cpu", 4.0)
    assert on_cpu is not None
    assert "4 GiB" in on_cpu.reason
    assert one_sentence(on_cpu.reason)
    if not torch.cuda.is_available():
        on_cuda = missing_gpu("LGM", "cuda", 4.0)
        assert on_cuda is not None
        assert "sees none" in on_cuda.reason
        assert one_sentence(on_cuda.reason)
    assert half_precision("cpu") == torch.float32


def test_shapes_are_known_without_memory():
    with torch.device("meta"):
        network = LgmNetwork(LGM_TOY)
    assert shapes_of(network) == {key: tuple(value.shape) for key, value in toy_lgm().state_dict().items()}
