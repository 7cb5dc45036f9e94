"""`info`, `presets` and `doctor`: what there is, without computing anything."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import tyro

from ar4d.runs import RECORDED, Run
from ar4d.threads import available_cores


@dataclass(frozen=True)
class _InfoArguments:
    """What a run is and how far it is."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""


def info(argv: list[str]) -> None:
    """tell what a run is and how far it is"""
    run = Run.open(tyro.cli(_InfoArguments, prog="ar4d info", args=argv).run)
    record, clip = run.record, run.clip
    lines = [
        ("status", record.status + (f": {record.error}" if record.error else "")),
        ("source", record.recipe.source),
        ("clip", f"{clip.num_frames} frames, {clip.size} px, {clip.fps:.2f} fps, cut out by {clip.matting}"),
        ("preset", f"{record.recipe.settings.preset}, seed {record.recipe.settings.seed}"),
        ("frames", f"{run.num_finished} of {clip.num_frames} finished"),
        ("canonical", f"frame {clip.canonical}, counted from 0"),
        *(("expert", f"{role.replace('_', ' ')}: {name}") for role, name in record.experts.items()),
        *(("seconds", f"{stage}: {seconds:.1f}") for stage, seconds in record.seconds.items()),
        *(("warning", message) for message in record.warnings),
        ("machine", record.machine),
    ]
    metrics = run.metrics()
    if metrics is not None:
        psnr, ssim = (sum(values) / len(values) for values in metrics)
        lines.append(("reference", f"PSNR {psnr:.2f} dB, SSIM {ssim:.4f} (mean over frames)"))
    for name, text in lines:
        print(f"{name:<10} {text}")


def presets(argv: list[str]) -> None:
    """print all presets side by side, engine by engine"""
    from ar4d.presets import comparison, known
    from ar4d.tables import text_table

    tyro.cli(_NoArguments, prog="ar4d presets", args=argv)
    for engine in dict.fromkeys(preset.settings.engine for preset in known().values()):
        print(f"engine {engine}\n{text_table(comparison(engine))}\n")


@dataclass(frozen=True)
class _NoArguments:
    """Takes no arguments."""


def doctor(argv: list[str]) -> None:
    """tell what this machine can run, and the remedy for what it cannot"""
    tyro.cli(_NoArguments, prog="ar4d doctor", args=argv)
    import av
    import psutil
    import torch

    from ar4d.cli.experts import experts_table

    packages = ", ".join(f"{name} {version(name)}" for name in RECORDED)
    memory = psutil.virtual_memory().available / 2**30
    _say(True, "python", f"{sys.version.split()[0]}; {packages}")
    _say(True, "processor", f"{available_cores()} cores, {memory:.1f} GiB of memory free")
    _check_gpu()
    encodes = "libx264" in av.codecs_available
    remedy = "PyAV has no libx264: install the wheel of av in place of a build of your own"
    _say(encodes, "video", "PyAV decodes any clip and encodes mp4 and gif" if encodes else remedy)
    disk = shutil.disk_usage(Path.cwd()).free / 2**30
    _say(disk > 1, "disk", f"{disk:.1f} GiB free here" + ("" if disk > 1 else ": free at least 1 GiB"))
    print(f"\n{experts_table()}")
    for failure in _other_failures():
        print(failure)
    print(f"\npreset used by default: {'quality' if torch.cuda.is_available() else 'cpu'}")


def _other_failures() -> list[str]:
    """What keeps plugins of other packages from being used; the experts' are in their own table."""
    from ar4d import presets
    from ar4d.engines import registry
    from ar4d.formats import registry as formats

    brought = registry.installed(), presets.installed(), formats.installed()
    return [failure for plugins in brought for failure in plugins.failures]


def _check_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        remedy = (
            "torch sees none: presets cpu and cpu-fine run without; for the others install torch with CUDA"
        )
        _say(False, "GPU", remedy)
        return
    free, total = (value / 2**30 for value in torch.cuda.mem_get_info())
    _say(True, "GPU", f"{torch.cuda.get_device_name()}, {free:.1f} of {total:.1f} GiB free")
    from ar4d.errors import UserError
    from ar4d.rendering.cuda import require_gsplat

    try:
        require_gsplat()
        _say(True, "gsplat", "its kernels compile at first use, which takes some minutes once")
    except UserError as error:
        _say(False, "gsplat", str(error))


def _say(good: bool, name: str, text: str) -> None:
    print(f"{'yes' if good else 'no ':<4} {name:<20} {text}")
