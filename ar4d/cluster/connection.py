"""The connection to a Ray cluster, and whether its nodes hold the same program as this machine."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import ar4d
from ar4d.errors import UserError

ANSWER_SECONDS = 5.0  # that the head of a cluster gets to answer
NODE_SECONDS = 120.0  # that each node gets to say which program it holds


@dataclass(frozen=True)
class Cluster:
    """The devices of a cluster that this process is connected to."""

    kind: Literal["cpu", "cuda"]
    """The kind of device: GPUs if any node has some."""
    devices: int
    """GPUs of all nodes; where there are none, nodes with cores."""
    cpus: int
    """Cores of all nodes."""

    def threads(self, devices: int) -> int:
        """Threads of each of so many devices: its share of the cores."""
        return max(1, self.cpus // max(devices, self.devices))


def connect(address: str) -> Cluster:
    """Connects this process, on a machine of the cluster, to it.

    Args:
        address: HOST:PORT of the cluster's head, or "auto" for the cluster that runs on this machine.

    Raises:
        UserError: Ray is not installed, the address does not answer, or a node holds another program.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError("--ray needs the package ray; install it with `pip install ray`.") from error
    _require_answer(address)
    try:
        ray.init(address=address, namespace="ar4d", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"The Ray cluster at {address} cannot be used: {reason}.") from error
    try:
        _require_same_program(ray)
    except UserError:
        ray.shutdown()
        raise
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    nodes = sum(node["Resources"].get("CPU", 0) >= 1 for node in _nodes(ray))
    return Cluster("cuda" if gpus else "cpu", gpus or max(nodes, 1), int(resources.get("CPU", 1)))


def _require_answer(address: str) -> None:
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(f'--ray takes HOST:PORT of the cluster\'s head, or auto, not "{address}".')
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"No Ray cluster answers at {address}; start one with `ray start --head --port={port}`."
        ) from error


def _nodes(ray: Any) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _require_same_program(ray: Any) -> None:
    """Asks every node for its version of this program and a digest of the program's files.

    Raises:
        UserError: one has none or another, or does not answer.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked, own = ray.remote(num_cpus=0)(_probe()), _probe()()
    for node in _nodes(ray):
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        name = node["NodeManagerAddress"]
        try:
            found = ray.get(asked.options(scheduling_strategy=there).remote(), timeout=NODE_SECONDS)
        except ray.exceptions.RayError as error:
            raise UserError(f"The node {name} of the Ray cluster does not answer; restart it.") from error
        if found != own:
            holds = f"ar4d {found[0]} ({found[1]})" if found else "no ar4d"
            raise UserError(
                f"The node {name} of the Ray cluster holds {holds} and this machine ar4d "
                f"{ar4d.__version__} ({own[1] if own else ''}); install the same program on both."
            )


def _probe() -> Callable[[], tuple[str, str] | None]:
    """A function that Ray sends as its code, so that nodes without this program can run it."""

    def probe() -> tuple[str, str] | None:
        import hashlib
        from pathlib import Path

        try:
            import ar4d
        except ImportError:
            return None
        root = Path(ar4d.__file__).parent
        digest = hashlib.sha256()
        for path in sorted(root.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
        return ar4d.__version__, digest.hexdigest()[:8]

    return probe
