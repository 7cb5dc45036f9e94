"""Workers for the machine's devices."""

from __future__ import annotations

from app.runs.worker import Worker


def workers(device: str = "") -> tuple[list[Worker], str]:
    """One worker per device, and the kind of device: "cpu" or "cuda".

    Args:
        device: the kind to use; by default GPUs if the machine has any.
    """
    import torch

    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cpu":
        return [Worker("cpu", {"CUDA_VISIBLE_DEVICES": ""}, warm=True)], kind
    count = torch.cuda.device_count()
    return [Worker(f"cuda-{i}", {"CUDA_VISIBLE_DEVICES": str(i)}, warm=True) for i in range(count)], kind
