"""`imagine`: a prompt, or a picture, becomes a clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ar4d.cli.progress import watch
from ar4d.devices import resolve_device
from ar4d.errors import UserError
from ar4d.imagine import ImagineSettings, imagine, save
from ar4d.settings import Device


@dataclass(frozen=True)
class ImagineArguments:
    """Make a clip that can be lifted, of a prompt or a picture."""

    prompt: tyro.conf.Positional[str] = ""
    """What the clip shows, as in "a red fox walking"; with --image: what happens (may be left out)."""
    out: Path | None = None
    """The clip: a file ending in .mp4 or .gif. Beside it lies a .json that says how it was made."""
    image: Path | None = None
    """A picture of one subject to set in motion."""
    device: Device = "auto"
    settings: Annotated[ImagineSettings, tyro.conf.arg(name="")] = field(default_factory=ImagineSettings)


def main(argv: list[str]) -> None:
    """make a clip of a prompt or a picture"""
    arguments = tyro.cli(ImagineArguments, prog="ar4d imagine", args=argv)
    if arguments.out is None or arguments.out.suffix.lower() not in (".mp4", ".gif"):
        raise UserError(
            'imagine needs --out with a file ending in .mp4 or .gif: ar4d imagine "a red fox '
            'walking" --out fox.mp4.'
        )
    if arguments.image is not None and not arguments.image.is_file():
        raise UserError(f"There is no picture {arguments.image}: check the path.")
    generate_clip(arguments.prompt, arguments.settings, arguments.device, arguments.out, arguments.image)
    print(arguments.out)


def generate_clip(
    prompt: str, settings: ImagineSettings, device: Device, out: Path, image: Path | None = None
) -> None:
    """Makes a clip and writes it, showing how it goes.

    Raises:
        UserError: see `imagine`.
    """
    save(watch(imagine(prompt, settings, resolve_device(device), image)), out)
