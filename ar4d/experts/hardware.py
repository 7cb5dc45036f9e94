"""What a large network asks of the machine."""

from __future__ import annotations

import gc
import importlib.util
import math
import os

import psutil
import torch

from ar4d.experts.protocols import Unavailable

GIB = 1024**3


def missing_gpu(
    name: str,
    device: torch.device | str,
    gib: float,
    otherwise: str = "take an expert that the CPU can run",
) -> Unavailable | None:
    """Why `device` cannot run an expert that needs an NVIDIA GPU, or None if it can.

    Args:
        name: of the expert, as the sentence should call it.
        gib: GPU memory that has to be free.
        otherwise: what the user can do without such a GPU.
    """
    device = torch.device(device)
    if device.type != "cuda":
        return Unavailable(
            f"{name} needs an NVIDIA GPU with {math.ceil(gib)} GiB of free memory and this run is on the "
            f'"{device.type}" device; run it where there is one, or {otherwise}.'
        )
    if not torch.cuda.is_available():
        return Unavailable(
            f"{name} needs an NVIDIA GPU and torch {torch.__version__} sees none; install a CUDA build of "
            f"torch and the driver, or {otherwise}."
        )
    free, total = _gpu_memory(device)
    if free < gib * GIB:
        return Unavailable(
            f"{name} needs {math.ceil(gib)} GiB of GPU memory and {torch.cuda.get_device_name(device)} has "
            f"{free / GIB:.1f} of {total / GIB:.1f} GiB free; free it, or take another expert."
        )
    return None


def _gpu_memory(device: torch.device) -> tuple[int, int]:
    """Free and total bytes of a GPU. A ZeroGPU Space has its GPU inside calls alone, and then as a whole."""
    if os.environ.get("SPACES_ZERO_GPU"):
        total = torch.cuda.get_device_properties(device).total_memory
        return total, total
    return torch.cuda.mem_get_info(device)


def half_precision(device: torch.device | str) -> torch.dtype:
    """The data type to run a published float16 network in.

    float16 wherever tensor cores take it (compute capability 7.0 and later): it is the weights' own
    precision and what their authors run them in. bfloat16 has eight times coarser steps, and LGM's
    positions suffer by as much. Older GPUs and other devices compute in float32.
    """
    device = torch.device(device)
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0):
        return torch.float16
    return torch.float32


def missing_memory(name: str, gib: float) -> Unavailable | None:
    """Why the machine's own memory is too small for an expert, or None if it is large enough.

    Args:
        gib: memory that has to be free.
    """
    free = psutil.virtual_memory().available / GIB
    if free >= gib:
        return None
    return Unavailable(
        f"{name} needs {gib:.0f} GiB of memory and {free:.1f} GiB is free; close other programs, or take "
        "another expert."
    )


def missing_libraries(name: str, *libraries: str) -> Unavailable | None:
    """Which of the Python packages that an expert needs are not installed."""
    absent = [library for library in libraries if importlib.util.find_spec(library) is None]
    if not absent:
        return None
    return Unavailable(f"{name} needs {' and '.join(absent)}; install with `pip install {' '.join(absent)}`.")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU's or the machine's memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def free_gpu_memory() -> None:
    """Gives back what torch keeps of the GPU for later; call it once nothing refers to the tensors."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
