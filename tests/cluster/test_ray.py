"""A batch and a server on a Ray cluster of two nodes on this machine."""

from __future__ import annotations

import csv
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.runs.queue import Job
from app.server import Viewers
from app.service import Service
from ar4d.cli import main
from ar4d.cluster import Device, connect
from ar4d.cluster.folder import Watched, write
from ar4d.errors import UserError
from ar4d.runs import Run
from tests.cli.test_batch import OPTIONS, picture_folder
from tests.support.lifting import make_run, quick_preset

ray = pytest.importorskip("ray", reason="the package ray is not installed")
cluster_utils = pytest.importorskip("ray.cluster_utils")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A head without cores and two nodes with one each, so that each actor has a node of its own."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray's name; else its workers starve)
    started = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        started.add_node(num_cpus=1)
    try:
        yield started
    finally:
        ray.shutdown()
        started.shutdown()


@pytest.fixture(autouse=True)
def _disconnected() -> Iterator[None]:
    yield
    ray.shutdown()


def outcomes(out: Path) -> dict[str, str]:
    with open(out / "report.csv", newline="", encoding="utf-8") as file:
        return {row["name"]: row["outcome"] for row in csv.DictReader(file)}


def test_a_batch_on_a_cluster_gives_the_same_bits(cluster, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    for name in ("one", "two"):
        picture_folder(clips / name)
    (clips / "broken.mp4").write_bytes(b"no video")
    command = ["batch", str(clips), "--out"]
    on_ray = ["--ray", cluster.address, "--workers=2", "--threads=1", "--", *OPTIONS]
    assert main([*command, str(tmp_path / "ray"), *on_ray]) == 2  # one clip is broken
    assert main([*command, str(tmp_path / "here"), "--", *OPTIONS]) == 2
    expected = {"one": "finished", "two": "finished", "broken": "failed"}
    assert outcomes(tmp_path / "ray") == outcomes(tmp_path / "here") == expected
    for name in ("one", "two"):
        remote, local = Run.open(tmp_path / "ray" / name), Run.open(tmp_path / "here" / name)
        assert remote.status == "finished"
        assert remote.asset_path.read_bytes() == local.asset_path.read_bytes()
        assert remote.metrics() == local.metrics()
        assert [type(e) for e in remote.events()] == [type(e) for e in local.events()]
    ray.shutdown()
    (clips / "broken.mp4").unlink()
    assert main([*command, str(tmp_path / "ray"), *on_ray]) == 0
    assert set(outcomes(tmp_path / "ray").values()) == {"finished before"}


def wait(job: Job, *states: str) -> None:
    end = time.monotonic() + 200
    while job.state not in states:
        assert time.monotonic() < end, (job.state, job.error, job.progress.log[-3:])
        time.sleep(0.02)


def test_a_server_uses_the_cluster_and_a_lost_node_costs_the_frame_at_work(cluster, tmp_path: Path) -> None:
    viewers = Viewers()
    service = Service(tmp_path, viewers, ray=cluster.address)
    try:
        assert len(service.jobs.workers) == 2  # the head has no core
        one, cancelled = (make_run(service, quick_preset(250)) for _ in range(2))
        job, other = service.jobs.submit(one), service.jobs.submit(cancelled)
        while other.progress.frames_done < 1 or job.progress.frames_done < 1:
            assert job.alive, job.error
            assert other.alive, other.error
            time.sleep(0.02)
        service.jobs.cancel(cancelled)
        wait(other, "stopped")
        assert Run.open(cancelled).num_finished >= 1
        kept = {k: Run.open(one).frame_path(k).stat().st_mtime_ns for k in Run.open(one).finished}
        cluster.remove_node(node_of(cluster, service.jobs._running[job]._device))
        wait(job, "finished")
        assert all(Run.open(one).frame_path(k).stat().st_mtime_ns == stamp for k, stamp in kept.items())
        assert Run.open(one).num_finished == 4
        assert len(job.progress.psnr) == 4
        bad = make_run(service, quick_preset())
        (bad / "input" / "clip.json").write_text("{}")
        with pytest.raises(UserError):
            service.jobs.submit(bad)
    finally:
        service.close()
        viewers.close_all()
        cluster.add_node(num_cpus=1)


def node_of(cluster, device: Device):
    """The node that works for a device."""
    asked = device._actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id())
    id = ray.get(asked, timeout=60)
    return next(node for node in cluster.worker_nodes if node.node_id == id)


def test_weights_that_a_node_lacks_are_a_sentence_with_its_name(cluster, tmp_path: Path) -> None:
    from dataclasses import replace

    viewers = Viewers()
    service = Service(tmp_path, viewers, ray=cluster.address)
    try:
        settings = quick_preset()
        first = replace(settings.initialize, expert="splatt3r")
        job = service.jobs.submit(make_run(service, replace(settings, initialize=first)))
        wait(job, "failed")
        assert f"On the node {socket.gethostname()}: " in job.error
        assert "\n" not in job.error
    finally:
        service.close()
        viewers.close_all()


def test_another_program_on_a_node_is_a_sentence(cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def probe_of_two():
        found.append(1)
        return (lambda: ("0.0.9", "12345678")) if len(found) == 1 else (lambda: ("9", "9"))

    monkeypatch.setattr("ar4d.cluster.connection._probe", probe_of_two)
    with pytest.raises(UserError, match=r"holds ar4d 0[.]0[.]9 \(12345678\) and this machine ar4d"):
        connect(cluster.address)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:9", "No Ray cluster answers at 127.0.0.1:9; start one with"),
        ("nowhere.invalid:6379", "No Ray cluster answers at nowhere.invalid:6379"),
        ("127.0.0.1", '--ray takes HOST:PORT of the cluster\'s head, or auto, not "127.0.0.1"'),
        ("ray://host:10001", "--ray takes HOST:PORT"),
    ],
)
def test_an_address_that_does_not_answer_is_a_sentence(
    address: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = time.monotonic()
    assert main(["batch", "nothing.mp4", "--out", str(tmp_path), "--ray", address]) == 2
    assert time.monotonic() < start + 20
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ar4d: ")]
    assert words in line


def test_a_folder_is_fetched_as_it_grows(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    (there / "frames").mkdir(parents=True)
    (there / "source").mkdir()
    for name in ("run.json", "frames/0001.safetensors", "source/clip.mp4", ".lock"):
        (there / name).write_text(name)
    watched = Watched(there)
    files = watched.changes()
    assert set(files) == {"run.json", "frames/0001.safetensors"}
    write(here, files)
    assert watched.changes() == {}
    (there / "run.json").write_text("changed")
    write(here, watched.changes())
    assert (here / "run.json").read_text() == "changed"
    assert (here / "frames" / "0001.safetensors").read_text() == "frames/0001.safetensors"
    for name in ("../out", "/etc/passwd", "a/../../b"):
        with pytest.raises(UserError, match="outside of its run"):
            write(here, {name: b""})
