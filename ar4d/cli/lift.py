"""`lift`: a clip becomes a finished run."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ar4d.cli.imagine import film
from ar4d.cli.progress import show
from ar4d.clip import ClipSettings, load_clip
from ar4d.engines.ar4d.pipeline import check
from ar4d.errors import UserError
from ar4d.imagine import ImagineSettings, experts_of
from ar4d.presets import PRESETS
from ar4d.runs import Recipe, Run, read_record
from ar4d.settings import Settings


@dataclass(frozen=True)
class LiftArguments:
    """Turn a video into an animated set of 3D Gaussians."""

    clip: tyro.conf.Positional[Path | None] = None
    """Video, GIF, picture or folder of pictures."""
    prompt: str | None = None
    """Instead of a clip: what shall be seen. It is filmed first, as `imagine` does with its defaults."""
    out: Path | None = None
    """Folder of the run."""
    resume: bool = False
    """Go on with the run in --out from its last whole frame."""
    from_: Annotated[Path | None, tyro.conf.arg(name="from", metavar="RUN.JSON")] = None
    """Repeat the run recorded in a run.json, with whatever else is said here changed."""
    input: Annotated[ClipSettings, tyro.conf.arg(name="")] = field(default_factory=ClipSettings)
    settings: Annotated[Settings, tyro.conf.arg(name="")] = field(default_factory=Settings)


def main(argv: list[str]) -> None:
    """turn a video into a 4D asset"""
    defaults = _defaults(argv)
    arguments = tyro.cli(LiftArguments, prog="python -m ar4d lift", args=argv, default=defaults)
    run = _resumed(arguments) if arguments.resume else _new(arguments)
    show(run)


def _defaults(argv: list[str]) -> LiftArguments:
    """The preset, or the recorded run, whose values the other options change."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--preset")
    early.add_argument("--from", dest="from_", type=Path)
    known, _ = early.parse_known_args(argv)
    if known.from_ is not None:
        recipe = read_record(known.from_).recipe
        source = Path(recipe.source)
        return LiftArguments(clip=source, input=recipe.clip, settings=recipe.settings)
    name = known.preset or _default_preset()
    if name not in PRESETS:
        raise UserError(f'There is no preset "{name}"; choose one of: {", ".join(PRESETS)}.')
    return LiftArguments(settings=PRESETS[name])


def _default_preset() -> str:
    import torch

    return "quality" if torch.cuda.is_available() else "cpu"


def _new(arguments: LiftArguments) -> Run:
    if arguments.out is None or (arguments.clip is None) == (arguments.prompt is None):
        raise UserError("lift needs a clip (or --prompt) and --out: python -m ar4d lift CLIP --out RUN.")
    if (arguments.out / "run.json").exists():
        raise UserError(
            f"{arguments.out} holds a run already: add --resume to go on with it, or choose another --out."
        )
    check(arguments.settings)
    source = arguments.clip
    if source is None:
        assert arguments.prompt is not None
        source = arguments.out / "imagined.mp4"
        film(arguments.prompt, ImagineSettings(), arguments.settings.device, source)
    input = arguments.input.of_scene() if arguments.settings.kind == "scene" else arguments.input
    clip = load_clip(source, input, arguments.settings.size)
    recipe = Recipe(str(source.resolve()), input, arguments.settings)
    return Run.create(arguments.out, recipe, clip, experts_of(source))


def _resumed(arguments: LiftArguments) -> Run:
    if arguments.out is None:
        raise UserError("--resume needs --out: the folder of the run to go on with.")
    run = Run.open(arguments.out)
    if run.status == "finished":
        raise UserError(f"{arguments.out} is finished already: there is nothing to resume.")
    return run
