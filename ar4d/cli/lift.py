"""`lift`: a clip becomes a finished run."""

from __future__ import annotations

import argparse
import threading
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from ar4d.cli.imagine import generate_clip
from ar4d.cli.progress import show
from ar4d.clip import ClipSettings, Corrections, load_clip, read_views
from ar4d.devices import resolve_device
from ar4d.engines.registry import engine_named
from ar4d.errors import UserError
from ar4d.imagine import ImagineSettings, experts_of
from ar4d.lifting import check
from ar4d.presets import default_for, find, known
from ar4d.runs import Recipe, Run, read_record
from ar4d.settings import EngineSettings

_PARSING = threading.Lock()
"""Tyro reads docstrings with `ast.parse`, which in Python 3.11 fails at random in two threads at once."""


@dataclass(frozen=True)
class LiftArguments:
    """Turn a video into an animated set of 3D Gaussians."""

    clip: tyro.conf.Positional[Path | None] = None
    """Video, GIF, picture or folder of pictures."""
    prompt: str | None = None
    """In place of a clip: what it is to show. The clip is generated first, by `imagine` with its defaults."""
    views: Annotated[Path | None, tyro.conf.arg(name="views", metavar="DIR")] = None
    """Folder of videos of the clip from other sides, each named by its azimuth in degrees (090.mp4)."""
    out: Path | None = None
    """Folder of the run."""
    resume: bool = False
    """Continue the run in --out from its last whole frame."""
    from_: Annotated[Path | None, tyro.conf.arg(name="from", metavar="RUN.JSON")] = None
    """Repeat a recorded run; other options override its values."""
    keep: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A place that belongs to the subject, as FRAME:X,Y; may be given several times."""
    drop: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A place that does not belong to the subject, as FRAME:X,Y; may be given several times."""
    box: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A box around the subject, as FRAME:LEFT,TOP,RIGHT,BOTTOM; may be given several times."""
    input: Annotated[ClipSettings, tyro.conf.arg(name="")] = field(default_factory=ClipSettings)


def main(argv: list[str]) -> None:
    """turn a video into a 4D asset"""
    arguments = parse(argv)
    run = _resumed(arguments) if arguments.resume else _new(arguments)
    show(run)


def parse(argv: list[str], quiet: bool = False) -> Any:
    """`LiftArguments` and, as `settings`, those of the engine that the preset or the recorded run names.

    Args:
        quiet: print nothing where the options are wrong.

    Raises:
        SystemExit: the options are wrong.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--preset")
    early.add_argument("--engine")
    early.add_argument("--from", dest="from_", type=Path)
    asked, _ = early.parse_known_args(argv)
    source, input = None, ClipSettings()
    if asked.from_ is not None:
        recipe = read_record(asked.from_).recipe
        source, input, settings = Path(recipe.source), recipe.clip, recipe.settings
    else:
        settings = _settings(asked.preset, asked.engine)
    kind = make_dataclass(
        "LiftArguments",
        [("settings", Annotated[type(settings), tyro.conf.arg(name="")], field(default=settings))],
        bases=(LiftArguments,),
        frozen=True,
        namespace={"__doc__": LiftArguments.__doc__},
    )
    default = kind(clip=source, input=input)
    with _PARSING:
        return tyro.cli(kind, prog="ar4d lift", args=argv, default=default, console_outputs=not quiet)


def _settings(preset: str | None, engine: str | None) -> EngineSettings:
    """The values that the options change: a preset's, or an engine's own defaults."""
    if preset is not None:
        return find(preset).settings
    device = resolve_device("auto").type
    if engine in (None, "ar4d"):
        return default_for(device).settings
    made_for_it = [preset for preset in known().values() if preset.settings.engine == engine]
    suiting = [preset for preset in made_for_it if preset.device == device]
    return (suiting or made_for_it)[0].settings if made_for_it else engine_named(engine).settings_type()


def _new(arguments: Any) -> Run:
    if arguments.out is None or (arguments.clip is None) == (arguments.prompt is None):
        raise UserError("lift needs a clip (or --prompt) and --out: ar4d lift CLIP --out RUN.")
    if (arguments.out / "run.json").exists():
        raise UserError(
            f"{arguments.out} holds a run already: add --resume to continue it, or choose another --out."
        )
    given = {} if arguments.views is None else {"clip_to_views": arguments.views}
    check(arguments.settings, given)
    return create(arguments)


def create(arguments: Any) -> Run:
    """Cuts out the clip and makes a run of it, which is not worked on yet.

    Args:
        arguments: as `parse` returns them; whether this machine can do the run is not checked.

    Raises:
        UserError: the clip cannot be read, or the folder cannot be written to.
    """
    source = arguments.clip
    if source is None:
        source = arguments.out / "imagined.mp4"
        generate_clip(arguments.prompt, ImagineSettings(), arguments.settings.device, source)
    input = _corrected(arguments)
    input = input.of_scene() if arguments.settings.kind == "scene" else input
    clip = load_clip(source, input, arguments.settings.size)
    recipe = Recipe(str(source.resolve()), input, arguments.settings)
    grid = None
    if arguments.views is not None:
        grid = read_views(arguments.views, clip, input, arguments.settings.elevation_deg)
    return Run.create(arguments.out, recipe, clip, experts_of(source), grid)


def _corrected(arguments: Any) -> ClipSettings:
    """The clip's settings with the corrections of the options, which replace those of a recorded run."""
    corrections = Corrections.from_options(arguments.keep, arguments.drop, arguments.box)
    return replace(arguments.input, corrections=corrections) if corrections else arguments.input


def _resumed(arguments: Any) -> Run:
    if arguments.out is None:
        raise UserError("--resume needs --out: the folder of the run to continue.")
    run = Run.open(arguments.out)
    if run.status == "finished":
        raise UserError(f"{arguments.out} is finished already: there is nothing to resume.")
    return run
