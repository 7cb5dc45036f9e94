"""Measures how much faster several workers lift a batch: `python -m benchmarks.batch [--ray]`.

The same clips are lifted with one worker, with two, and if wanted with two on a Ray cluster on this machine;
each worker computes with one thread. Prints the times and whether the results are the same bits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ar4d.asset import ASSET_FILE
from benchmarks.support.api import clip_bytes
from benchmarks.support.visitors import SETTINGS

ROOT = Path(__file__).parent.parent


def lifted(clips: Path, out: Path, steps: int, *options: str) -> float:
    """Seconds of a batch.

    Raises:
        CalledProcessError: a clip was not lifted.
    """
    changes = SETTINGS | {"generate.iterations": steps}
    given = [f"--{name.replace('_', '-')}={value}" for name, value in changes.items()]
    command = [sys.executable, "-m", "ar4d", "batch", str(clips), "--out", str(out), "--threads=1", *options]
    command += ["--", "--preset=cpu", "--num-frames=4", *given]
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


@contextmanager
def ray_address() -> Iterator[str]:
    """The address of a Ray cluster of one node with two cores on this machine."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        yield str(cluster.address)
    finally:
        cluster.shutdown()


def same(one: Path, two: Path) -> bool:
    """Whether two batches have the same results, bit for bit."""
    names = sorted(path.parent.name for path in one.glob(f"*/{ASSET_FILE}"))
    results = [(one / name / ASSET_FILE, two / name / ASSET_FILE) for name in names]
    return bool(names) and all(a.read_bytes() == b.read_bytes() for a, b in results)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--steps", type=int, default=40, help="of each frame")
    parser.add_argument("--ray", action="store_true", help="also on a Ray cluster on this machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ar4d-batch-") as name:
        folder = Path(name)
        clips = folder / "clips"
        clips.mkdir()
        for seed in range(options.clips):
            clip_bytes(clips, seed)
        one = lifted(clips, folder / "one", options.steps, "--workers=1")
        two = lifted(clips, folder / "two", options.steps, "--workers=2")
        print(
            f"batch: {options.clips} clips, one worker {one:.1f} s, two {two:.1f} s: {one / two:.2f} times "
            f"the throughput; the same bits: {same(folder / 'one', folder / 'two')}"
        )
        if options.ray:
            with ray_address() as address:
                ray = lifted(clips, folder / "ray", options.steps, "--workers=2", f"--ray={address}")
            print(
                f"batch on Ray: {ray:.1f} s, {100 * (ray / two - 1):+.0f} % of two workers without; "
                f"the same bits: {same(folder / 'one', folder / 'ray')}"
            )


if __name__ == "__main__":
    main()
