"""Workers for the machine's devices."""

from __future__ import annotations

from typing import Any

from app.runs import zerogpu
from app.runs.estimates import Estimator
from app.runs.limits import Limits
from app.runs.worker import Worker


def workers(device: str, estimator: Estimator, ray: str = "") -> tuple[list[Any], str]:
    """One worker per device, and the kind of device: "cpu" or "cuda".

    Args:
        device: the kind to use; by default GPUs if the machine has any.
        ray: address of a Ray cluster whose devices to use in place of this machine's.

    Raises:
        UserError: the cluster cannot be used.
    """
    import torch

    if ray:
        from app.runs.ray_worker import RayWorker
        from ar4d.cluster import connect

        cluster = connect(ray)
        return [RayWorker(f"ray-{k}", cluster) for k in range(cluster.devices)], cluster.kind

    if zerogpu.active():
        return zerogpu.workers(estimator), "cuda"
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cpu":
        return [Worker("cpu", {"CUDA_VISIBLE_DEVICES": ""}, warm=True)], kind
    count = torch.cuda.device_count()
    return [Worker(f"cuda-{i}", {"CUDA_VISIBLE_DEVICES": str(i)}, warm=True) for i in range(count)], kind


def utility_worker(limits: Limits) -> Worker:
    """The worker that reads uploads and writes exports; it has no GPU of a ZeroGPU Space."""
    return Worker("utility", {"SPACES_ZERO_GPU": ""}, memory_mb=limits.decode_memory_mb)
