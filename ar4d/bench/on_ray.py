"""A benchmark on a Ray cluster: each pair is a task; its object's folder travels there, its results back."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ar4d.bench.results import Pair
from ar4d.cluster import connect
from ar4d.cluster.folder import Files, Watched, write
from ar4d.errors import UserError

if TYPE_CHECKING:
    from ar4d.bench.run import Plan

PARTS = ("input", "views", "meta.json", "points.npy")
"""What a measurement needs of an object's folder."""


def measure_on_cluster(
    plan: Plan, pairs: Sequence[Pair], address: str
) -> Iterator[tuple[Pair, dict[str, Any]]]:
    """Measures pairs on all devices of a cluster, each with one thread, and yields them as they are done.

    A pair whose node is lost is measured again elsewhere.

    Args:
        address: HOST:PORT of the cluster's head, or "auto".

    Raises:
        UserError: the cluster cannot be used, or a pair cannot be measured; what was finished is kept.
    """
    cluster = connect(address)
    import ray
    from ray.exceptions import RayError

    task = ray.remote(_measured_there).options(
        num_cpus=1, num_gpus=int(cluster.kind == "cuda"), runtime_env={"env_vars": _variables(cluster.kind)}
    )
    try:
        objects = {name: ray.put(_files(plan.views / name)) for name in dict.fromkeys(p.name for p in pairs)}
        waiting = {task.remote(plan, pair, objects[pair.name]): pair for pair in pairs}
        while waiting:
            (done, *_), _ = ray.wait(list(waiting))
            pair = waiting.pop(done)
            try:
                problem, files = ray.get(done)
            except RayError as error:
                reason = str(error).strip().splitlines()[-1]
                raise UserError(f"{pair.name} in {pair.variant} failed on the cluster: {reason}") from error
            if problem:
                raise UserError(problem)
            yield pair, _kept(plan.out, pair, files)
    finally:
        ray.shutdown()


def _measured_there(plan: Plan, pair: Pair, files: Files) -> tuple[str, Files]:
    """On a node: a sentence about what is wrong, or "", and the files of the results."""
    import torch

    from ar4d.bench.run import measure

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="ar4d-") as name:
        here = replace(plan, views=Path(name) / "views", out=Path(name) / "out")
        write(here.views / pair.name, files)
        try:
            measure(here, pair)
        except UserError as error:
            return str(error).replace(str(here.views), str(plan.views)), {}
        return "", Watched(here.out).changes()


def _kept(out: Path, pair: Pair, files: Files) -> dict[str, Any]:
    """Writes the files of a pair, its numbers last, and returns these."""
    numbers = pair.path(out).relative_to(out).as_posix()
    write(out, {name: data for name, data in files.items() if name != numbers})
    write(out, {numbers: files[numbers]})
    return {name: value for name, value in json.loads(files[numbers]).items() if name != "pair"}


def _files(folder: Path) -> Files:
    paths = [path for part in PARTS for path in ((folder / part), *sorted((folder / part).rglob("*")))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.is_file()}


def _variables(kind: str) -> Mapping[str, str]:
    """The environment of a task: one thread, as processes of `--jobs` have."""
    return {"OMP_NUM_THREADS": "1"} | ({} if kind == "cuda" else {"CUDA_VISIBLE_DEVICES": ""})
