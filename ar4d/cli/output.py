"""`render`, `export` and `evaluate`: what is made of a finished run."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ar4d.cli.progress import counted
from ar4d.errors import UserError
from ar4d.files import write_text
from ar4d.runs import Run

if TYPE_CHECKING:
    from ar4d.formats import Format


@dataclass(frozen=True)
class _RenderArguments:
    """Render a finished asset from one side."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    out: Path
    """A folder for 0000.png, 0001.png …, or a file ending in .mp4, .webm, .mov or .gif."""
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
    """white, black, transparent or a colour as #3366ff."""


def render(argv: list[str]) -> None:
    """render a run from any side: a folder of images, an mp4 or a gif"""
    from ar4d.asset import frame_time
    from ar4d.formats import render_frames, write_frames

    options = tyro.cli(_RenderArguments, prog="ar4d render", args=argv)
    if options.mode not in ("rgb", "depth", "alpha"):
        raise UserError(f'There is no mode "{options.mode}"; choose rgb, depth or alpha.')
    run = Run.open(options.run)
    asset = run.result()
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
    """write a run as files for other programs: splats, a mesh, a video, a web page"""
    from ar4d.formats import all_formats, find_format
    from ar4d.formats import export as write
    from ar4d.formats.from_run import options_of_run

    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--format", default="html")
    format = find_format(early.parse_known_args(argv)[0].format)
    arguments: Any = tyro.cli(
        make_dataclass(
            "ExportArguments",
            [
                ("run", tyro.conf.Positional[Path]),
                (
                    "format",
                    Annotated[str, tyro.conf.arg(help=f"One of {', '.join(all_formats())}.")],
                    format.name,
                ),
                (
                    "out",
                    Annotated[Path | None, tyro.conf.arg(help="By default a name inside the run's folder.")],
                    None,
                ),
                (
                    "original",
                    Annotated[
                        bool, tyro.conf.arg(help="Leave out what was cleaned up by hand (ar4d clean).")
                    ],
                    False,
                ),
                ("options", Annotated[format.options, tyro.conf.arg(name="")], format.options()),
            ],
            frozen=True,
        ),
        prog="ar4d export",
        description=_export_description(format),
        args=argv,
    )
    run, options = Run.open(arguments.run), arguments.options
    asked = " ".join(argv).replace("_", "-")
    of_run = options_of_run(format, run).items()
    options = replace(options, **{k: v for k, v in of_run if f"--{k.replace('_', '-')}" not in asked})
    out = arguments.out or arguments.run / "exports" / format.default_name(options)
    with counted() as on_progress:
        written = write(run.result(arguments.original), format.name, out, options, on_progress=on_progress)
    for path in written:
        print(path)


def _export_description(format: Format) -> str:
    """What --help says above the options: the format that was asked for, and all the others."""
    from ar4d.formats import all_formats

    width = max(map(len, all_formats()))
    lines = [f"  {name:<{width}}  {other.label}" for name, other in all_formats().items()]
    return (
        f"Write a finished asset as {format.label}\n\n"
        "Each format has options of its own; give --format with --help to see them:\n" + "\n".join(lines)
    )


@dataclass(frozen=True)
class _EvaluateArguments:
    """Compare a finished asset with ground-truth views or, without any, with its own clip from all around."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    views: Path | None = None
    """Folder with meta.json and views/NAME/0000.png …; without it, specks, outline and fog are compared with
    the clip's own frames."""
    protocol: str | None = None
    """Measure as a paper does: ar4d, consistent4d or sv4d2; needs --views."""
    lpips: Path | None = None
    """Weights for LPIPS; by default the file that the environment variable AR4D_LPIPS names."""
    out: Path | None = None
    """Where the JSON goes; by default evaluation.json in the run's folder."""


def evaluate(argv: list[str]) -> None:
    """measure a run: PSNR, LPIPS, IoU, … against ground-truth views, or its look from all around"""
    from ar4d.evaluation import evaluate as measure
    from ar4d.evaluation.by_protocol import measure_by_protocol
    from ar4d.evaluation.look import look

    arguments = tyro.cli(_EvaluateArguments, prog="ar4d evaluate", args=argv)
    if arguments.protocol is not None and arguments.views is None:
        raise UserError("A protocol compares with true views: name their folder with --views.")
    run = Run.open(arguments.run)
    if arguments.protocol is not None and arguments.views is not None:
        report = measure_by_protocol(run.asset(), arguments.views, arguments.protocol, arguments.lpips)
    elif arguments.views is None:
        elevation_deg = run.record.recipe.settings.elevation_deg
        report = look(run.asset(), run.clip, run.frames(), elevation_deg)
    else:
        report = measure(run.asset(), arguments.views, arguments.lpips)
    out = arguments.out or arguments.run / "evaluation.json"
    write_text(out, report.to_json())
    print(report.table())
    print(out)
