"""The number of cores that a container has, read from made-up cgroup files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ar4d import threads
from ar4d.threads import available_cores, configure_threads, num_threads, parallel_map

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


V2, CPU, BOTH = "sys/fs/cgroup", "sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 16),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "max 100000"}, 16),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "200000 100000"}, 2),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "250000 100000"}, 3),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "20000 100000"}, 1),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "6400000 100000"}, 16),
        # a process deep inside, whose limit is on a group above it
        (
            {
                "proc/self/cgroup": "0::/pod/box",
                f"{V2}/pod/box/cpu.max": "max 100000",
                f"{V2}/pod/cpu.max": "3 1",
            },
            3,
        ),
        # the host's path, which the container does not see
        ({"proc/self/cgroup": "0::/kube/pod/x", f"{V2}/cpu.max": "400000 100000"}, 4),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n2:memory:/docker/x",
                f"{CPU}/cpu.cfs_quota_us": "150000",
                f"{CPU}/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/x",
                f"{BOTH}/docker/x/cpu.cfs_quota_us": "500000",
                f"{BOTH}/docker/x/cpu.cfs_period_us": "100000",
            },
            5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/",
                f"{CPU}/cpu.cfs_quota_us": "-1",
                f"{CPU}/cpu.cfs_period_us": "100000",
            },
            16,
        ),
        ({"proc/self/cgroup": "3:cpuset:/x\n1:cpuacct:/x", f"{CPU}/cpu.cfs_quota_us": "100000"}, 16),
        ({"proc/self/cgroup": "nonsense", f"{V2}/cpu.max": "what ever"}, 16),
    ],
)
def test_counts_the_cores_of_the_container(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    assert available_cores(write(tmp_path, files)) == cores


def test_an_affinity_mask_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7}, raising=False)
    assert available_cores(tmp_path) == 2


def test_without_a_quota_the_libraries_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    configure_threads(tmp_path)
    assert os.environ == {"OMP_WAIT_POLICY": "PASSIVE"}


def test_a_number_that_the_user_chose_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "ACTIVE"})
    configure_threads(write(tmp_path, {"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "2 1"}))
    assert os.environ == {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "ACTIVE", "NUMBA_NUM_THREADS": "2"}
    assert num_threads() == 7


@pytest.mark.parametrize(("value", "count"), [("4,2", 4), ("", 9), ("0", 9), ("many", 9)])
def test_a_pool_of_its_own_follows_openmps_variable(value: str, count: int, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    monkeypatch.setattr(threads, "available_cores", lambda: 9)
    assert num_threads() == count


PROGRAM = """
import os, sys
from pathlib import Path
os.sched_getaffinity = lambda _: set(range(16))
from ar4d.threads import configure_threads
configure_threads(Path(sys.argv[1]))
import numba, torch
print(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
"""


def test_torch_and_numba_take_the_quota(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "80000 100000"})
    environment = {name: text for name, text in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", PROGRAM, str(root)]
    output = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert output.split() == ["1", "1"]


def test_the_matting_network_takes_as_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    from ar4d.clip.matting import saliency

    chosen = []

    def session(path: str, options: onnxruntime.SessionOptions, providers: list[str]) -> str:
        chosen.append(options.intra_op_num_threads)
        return "session"

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    assert saliency._session.__wrapped__() == "session"
    assert chosen == [3]


@pytest.mark.parametrize("count", [1, 3])
def test_a_parallel_map_keeps_the_order_and_takes_little_ahead(count: int, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(count))
    first_may_end, taken = threading.Event(), []

    def items():
        for k in range(20):
            taken.append(k)
            yield k

    def squared(k: int) -> int:
        if k == 0 and count > 1:
            assert first_may_end.wait(30)  # the later ones overtake it
        elif k == 2:
            first_may_end.set()
        return k * k

    results = parallel_map(squared, items())
    assert next(results) == 0
    assert len(taken) == (1 if count == 1 else 2 * count)
    assert list(results) == [k * k for k in range(1, 20)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_parallel_map_raises_in_the_items_turn_and_stops(count: int, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(count))
    begun = []

    def checked(k: int) -> int:
        begun.append(k)
        if k == 4:
            raise ValueError("item 4")
        return k

    results, got = parallel_map(checked, range(100)), []
    with pytest.raises(ValueError, match="item 4"):
        got.extend(results)
    assert got == [0, 1, 2, 3]
    assert max(begun) < 4 + 2 * count
