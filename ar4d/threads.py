"""How many cores this process may use, and how the libraries' threads are fitted to them."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def configure_threads(root: Path = Path("/")) -> None:
    """Fits the threads of torch, BLAS and Numba to the container; a program calls it before it imports torch.

    Sets `OMP_WAIT_POLICY` to PASSIVE unless it is set: torch's OpenMP workers would otherwise spin between
    two parallel regions and take the cores from our own kernels and from every other process. Sets
    `OMP_NUM_THREADS` and `NUMBA_NUM_THREADS` unless they are set, where a cgroup's quota is smaller than the
    number of cores that those libraries see. It is the program's decision and not the library's:
    `import ar4d` changes no environment variable.

    Args:
        root: root of the file system, for tests.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    cores = available_cores(root)
    if cores < _schedulable_cores():
        for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ.setdefault(name, str(cores))


def available_cores(root: Path = Path("/")) -> int:
    """Number of cores that this process may use: those of its affinity mask, or fewer under a cgroup's quota.

    A quota of a part of a core counts as a whole one. Version 1 and version 2 of cgroups are read.

    Args:
        root: root of the file system, for tests.
    """
    quotas = [math.ceil(quota) for quota in _quotas(root)]
    return max(1, min([_schedulable_cores(), *quotas]))


def num_threads() -> int:
    """Number of threads for a pool of its own: `OMP_NUM_THREADS` if it is set, else `available_cores()`."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else available_cores()


def parallel_map(function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """The function of each item, in order, computed by `num_threads()` threads.

    Worth while where most of the function runs in numpy or scipy, outside Python's lock. No more than two
    items a thread are taken ahead of what is asked for, so that a whole clip need not be in memory.

    Raises:
        What the function raises, in its item's turn; no later item is begun.
    """
    count = num_threads()
    if count == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[U]] = deque()
    pool = ThreadPoolExecutor(count, thread_name_prefix="ar4d-map")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _schedulable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> list[float]:
    """The quotas, in cores, of this process's cgroup and those above it."""
    text = _read(root / "proc/self/cgroup")
    quotas = []
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            quotas += [_quota_v2(folder) for folder in _up(root / "sys/fs/cgroup", path)]
        elif "cpu" in controllers.split(","):
            for mount in {"cpu", controllers}:
                quotas += [_quota_v1(folder) for folder in _up(root / "sys/fs/cgroup" / mount, path)]
    return [quota for quota in quotas if quota is not None]


def _up(mount: Path, path: str) -> list[Path]:
    """The folders of a cgroup and of those above it.

    A container often sees its own cgroup as the root of the mount, although the path is the host's.
    """
    inner = PurePosixPath(path.lstrip("/"))
    return [mount / inner, *(mount / parent for parent in inner.parents)]


def _quota_v2(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    return _ratio(quota, period)


def _quota_v1(folder: Path) -> float | None:
    return _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> float | None:
    """Cores; None without a limit, which version 2 writes as "max" and version 1 as -1."""
    quota, period = quota.strip(), period.strip()
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0 or int(quota) == 0:
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    """A file's text; empty where this system does not have it or does not show it."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
