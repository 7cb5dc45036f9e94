"""`render`, `export` and `evaluate`: what is made of a finished run."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from ar4d.errors import UserError
from ar4d.files import write_text
from ar4d.runs import Run


@dataclass(frozen=True)
class _RenderArguments:
    """Render a finished asset from one side."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    out: Path
    """A folder for 0000.png, 0001.png …, or a file ending in .mp4 or .gif."""
    azimuth: float = 0.0
    """Degrees; 0 is the view of the clip, 90 its left-hand side as the viewer walks to the right."""
    elevation: float | None = None
    """Degrees, positive is above; by default that of the clip's camera."""
    radius: float = 1.5
    """Distance of the camera, world units."""
    time: str = "all"
    """all (every frame of the clip), or one time between 0 and 1."""
    size: int = 512
    """Width and height in pixels."""
    mode: str = "rgb"
    """rgb, depth or alpha."""
    background: str = "white"
    """white or transparent."""


def render(argv: list[str]) -> None:
    """render a run from any side: a folder of images, an mp4 or a gif"""
    from ar4d.asset import frame_time
    from ar4d.export import render_frames, write_frames

    options = tyro.cli(_RenderArguments, prog="python -m ar4d render", args=argv)
    if options.mode not in ("rgb", "depth", "alpha"):
        raise UserError(f'There is no mode "{options.mode}"; choose rgb, depth or alpha.')
    if options.background not in ("white", "transparent"):
        raise UserError(f'There is no background "{options.background}"; choose white or transparent.')
    run = Run.open(options.run)
    asset = run.asset()
    elevation = run.record.recipe.settings.elevation_deg if options.elevation is None else options.elevation
    times = [frame_time(k, asset.num_frames) for k in range(asset.num_frames)]
    if options.time != "all":
        times = [_time(options.time)]
    frames = render_frames(
        asset,
        times,
        [options.azimuth] * len(times),
        elevation_deg=elevation,
        radius=options.radius,
        size=options.size,
        mode=options.mode,
        background=options.background,
    )
    for path in write_frames(frames, options.out, asset.fps):
        print(path)


def _time(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f'--time takes "all" or a number between 0 and 1, not "{text}".') from error


def export(argv: list[str]) -> None:
    """write a run as ply, compressed-ply, spz, mp4, gif, html or glb"""
    from ar4d.export import FORMATS, options_of
    from ar4d.export import export as write

    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--format", default="html")
    format = early.parse_known_args(argv)[0].format
    family = options_of(format)
    fields = {f.name for f in dataclasses.fields(family)}
    arguments: Any = tyro.cli(
        make_dataclass(
            "ExportArguments",
            [
                ("run", tyro.conf.Positional[Path]),
                ("format", Annotated[str, tyro.conf.arg(help=f"One of {', '.join(FORMATS)}.")], format),
                (
                    "out",
                    Annotated[Path | None, tyro.conf.arg(help="By default a name inside the run's folder.")],
                    None,
                ),
                ("options", Annotated[family, tyro.conf.arg(name="")], family()),
            ],
            frozen=True,
        ),
        prog="python -m ar4d export",
        description=f"Write a finished asset as {format}; other formats have other options.",
        args=argv,
    )
    out = arguments.out or arguments.run / "exports" / _default_name(format, arguments.options)
    run, options = Run.open(arguments.run), arguments.options
    if "elevation_deg" in fields and "--elevation-deg" not in " ".join(argv):
        options = replace(options, elevation_deg=run.record.recipe.settings.elevation_deg)
    for path in write(run.asset(), format, out, options):
        print(path)


def _default_name(format: str, options: Any) -> str:
    """A file, or a folder for the splat formats where they write one file a frame."""
    if format in ("ply", "compressed-ply", "spz") and options.time is None:
        return format
    return "asset." + format.replace("compressed-", "compressed.")


@dataclass(frozen=True)
class _EvaluateArguments:
    """Compare a finished asset with ground-truth views."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    views: Path
    """Folder with meta.json and views/NAME/0000.png …"""
    lpips: Path | None = None
    """Weights for LPIPS; by default the file that the environment variable AR4D_LPIPS names."""
    out: Path | None = None
    """Where the JSON goes; by default evaluation.json in the run's folder."""


def evaluate(argv: list[str]) -> None:
    """compare a run with ground-truth views: PSNR, SSIM, LPIPS, IoU, …"""
    from ar4d.evaluation import evaluate as measure

    arguments = tyro.cli(_EvaluateArguments, prog="python -m ar4d evaluate", args=argv)
    report = measure(Run.open(arguments.run).asset(), arguments.views, arguments.lpips)
    out = arguments.out or arguments.run / "evaluation.json"
    write_text(out, report.to_json())
    print(report.table())
    print(out)
