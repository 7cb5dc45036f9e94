"""Measures the experts' networks on a GPU: time, and peak memory beside the computed one.

`python -m benchmarks.experts --out benchmarks/results/experts.json` needs a CUDA machine but no weights: they
are random. It measures LGM's time for four views (goal: 30 ms), its share of an iteration of stage 2, and the
memory beside that of `python -m ar4d experts --memory`. `--device cpu` runs the same with LGM's tiny size, to
check this script.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from ar4d.experts import memory
from ar4d.experts.imagedream.config import IMAGEDREAM_UNET
from ar4d.experts.imagedream.unet import MultiViewUNet
from ar4d.experts.lgm import LGM
from ar4d.experts.lgm.config import BIG, TINY, VIEWS
from ar4d.experts.lgm.model import LgmNetwork
from ar4d.files import write_text
from ar4d.presets import PAPER

GIB = 2**30


def main() -> None:
    """Measure the networks and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--iteration-ms", type=float, default=5.0, help="of stage 2, from gpu_check")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    results: dict[str, float | str] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    }
    results |= lgm(device, options.iteration_ms)
    if device.type == "cuda":
        results |= imagedream(device)
    for name, value in results.items():
        print(f"{name:<40} {value if isinstance(value, str) else f'{value:.3g}'}")
    if options.out is not None:
        write_text(options.out, json.dumps(results, indent=1))


def lgm(device: torch.device, iteration_ms: float) -> dict[str, float | str]:
    """Measure LGM as stage 2 calls it, with four views."""
    config = BIG if device.type == "cuda" else TINY
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    torch.manual_seed(0)
    network = LgmNetwork(config).to(device, dtype).eval().requires_grad_(False)
    expert = LGM(network, min_opacity=0.0)
    views = torch.rand(VIEWS, config.input_size, config.input_size, 4, device=device)
    before = allocated(device)
    spent = milliseconds(lambda: expert.reconstruct(views), device)
    share = spent / PAPER.generate.pseudo_every / iteration_ms
    results: dict[str, float | str] = {
        "LGM, ms": spent,
        "LGM, share of an iteration of stage 2": share,
    }
    if device.type == "cuda":
        counted = memory.lgm()
        results["LGM, GiB of weights"] = before / GIB
        results["LGM, peak GiB"] = torch.cuda.max_memory_allocated() / GIB
        results["LGM, peak GiB as worked out"] = counted.gib
    return results


def imagedream(device: torch.device) -> dict[str, float | str]:
    """Measure one step of ImageDream's sampler, which passes ten views through the U-Net."""
    config, rows = IMAGEDREAM_UNET, 2 * (VIEWS + 1)
    network = MultiViewUNet(config).to(device, torch.float16).eval().requires_grad_(False)
    torch.cuda.reset_peak_memory_stats()

    def half(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device, dtype=torch.float16)

    size = config.image_size
    inputs = half(rows, 4, size, size), torch.full((rows,), 500.0, device=device), half(rows, 77, 1024)
    given = {
        "image_tokens": half(rows, config.ip_dim, config.context_dim),
        "image_latents": half(2, 4, size, size),
    }
    camera = half(rows, config.camera_dim)
    with torch.no_grad():
        spent = milliseconds(lambda: network(*inputs, camera, views=VIEWS + 1, **given), device)
    return {
        "ImageDream, ms a step": spent,
        "ImageDream U-Net, peak GiB": torch.cuda.max_memory_allocated() / GIB,
        "ImageDream U-Net, peak GiB as worked out": memory.imagedream()[0].gib,
    }


def allocated(device: torch.device) -> int:
    """Bytes that are allocated now; the peak is counted from here on."""
    if device.type != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def milliseconds(work: Callable[[], object], device: torch.device) -> float:
    """Median time of five calls after two warm-up calls; on a CPU, the time of one call."""
    warm, repeats = (2, 5) if device.type == "cuda" else (0, 1)
    times = []
    for k in range(warm + repeats):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if k >= warm:
            times.append(1000 * (time.perf_counter() - started))
    return median(times)


if __name__ == "__main__":
    main()
