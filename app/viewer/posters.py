"""The still picture of a run: a WebP shown until the splats are there, or a JPEG for links' previews."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from app.viewer.stages import SingleFlightCache, Stages
from ar4d.errors import UserError
from ar4d.player.pictures import poster, preview, webp

KEPT = "poster.webp"
"""Name of the picture in the folder of a run that is kept with the program."""
_BYTES = 4 << 20

Form = Literal["webp", "jpeg"]


class Posters:
    """The pictures of one run; each is drawn once."""

    def __init__(self) -> None:
        self._made: SingleFlightCache[bytes] = SingleFlightCache(_BYTES, len)

    def of(self, stages: Stages, elevation_deg: float, form: Form, folder: Path | None) -> bytes:
        """The newest result's first frame from the clip's camera: a WebP with alpha, or a JPEG on white.

        Args:
            folder: the run's, which may hold the WebP already.

        Raises:
            UserError: there is no result yet.
        """
        finished = [name for name in stages.names if stages.limits(name) is not None]
        if not finished:
            raise UserError("There is nothing to draw a poster of yet.")

        def make() -> bytes:
            if form == "webp" and folder is not None and (folder / KEPT).exists():
                return (folder / KEPT).read_bytes()
            image = poster(stages.at(finished[-1], 0.0), elevation_deg)
            return webp(image) if form == "webp" else preview(image)

        return self._made.get((form, finished[-1], stages.revision), make)
