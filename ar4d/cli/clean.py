"""`clean`: splats that do not belong to the subject are deleted from a finished run, in all frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ar4d.errors import UserError


@dataclass(frozen=True)
class _CleanArguments:
    """Delete splats of a finished run in all frames; the original stays, and each step can be undone."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    opacity: float | None = None
    """Delete the splats that stay below this opacity (0 to 1) in every frame."""
    box: tuple[float, float, float, float] | None = None
    """Delete what lies in a rectangle of a view: left, top, right and bottom as fractions of the picture."""
    outside: bool = False
    """Delete what lies outside the rectangle instead."""
    azimuth: float = 0.0
    """Of the view in degrees; 0 is the view of the clip."""
    elevation: Annotated[float | None, tyro.conf.arg(help="Of the view; that of the clip if not given.")] = (
        None
    )
    time: float = 0.0
    """The moment from 0 to 1 that the view shows."""
    edits: Path | None = None
    """Repeat the edits in a cleanup.json, in place of all earlier ones."""
    undo: bool = False
    """Take the last edit back."""
    reset: bool = False
    """Take all edits back."""


def main(argv: list[str]) -> None:
    """delete splats of a run by hand, in all frames; undo it"""
    from ar4d.cleanup import Cleanup, Faint, parse_edit
    from ar4d.runs import Run

    arguments = tyro.cli(_CleanArguments, prog="ar4d clean", args=argv)
    run = Run.open(arguments.run)
    cleanup = run.cleanup
    if arguments.reset:
        cleanup = Cleanup()
    elif arguments.undo:
        cleanup = cleanup.undone()
    elif arguments.edits is not None:
        cleanup = Cleanup.load(arguments.edits)
    elif arguments.opacity is None and arguments.box is None:
        raise UserError("clean needs --opacity, --box, --edits, --undo or --reset; --help says what they do.")
    if arguments.opacity is not None:
        if not 0 < arguments.opacity <= 1:
            raise UserError(f"--opacity takes a number from 0 to 1, not {arguments.opacity:g}.")
        cleanup = cleanup.with_edit(Faint(arguments.opacity))
    if arguments.box is not None:
        values = _outline(arguments, arguments.box, run.record.recipe.settings.elevation_deg)
        cleanup = cleanup.with_edit(parse_edit(values))
    run.set_cleanup(cleanup)
    before, after = len(run.asset().at(0.0)), len(run.result().at(0.0))
    print(f"{after} of {before} splats are left")


def _outline(arguments: _CleanArguments, box: tuple[float, ...], elevation_deg: float) -> dict:
    """The values of an `Outline` for a rectangle."""
    from ar4d.cameras import orbit

    left, top, right, bottom = box
    if left >= right or top >= bottom:
        raise UserError(
            "--box takes left, top, right and bottom as fractions of the picture, for example 0 0 0.3 0.3."
        )
    elevation = elevation_deg if arguments.elevation is None else arguments.elevation
    viewmat = orbit(arguments.azimuth, elevation, size=1).viewmats[0]
    return {
        "kind": "outline",
        "polygon": ((left, top), (right, top), (right, bottom), (left, bottom)),
        "viewmat": tuple(viewmat.flatten().tolist()),
        "time": arguments.time,
        "outside": arguments.outside,
    }
