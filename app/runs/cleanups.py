"""Splats of a finished run, chosen in its viewer: how many they are, where they are, and their deletion."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import torch
from PIL import Image

from ar4d.cleanup import Cleanup, Faint, Outline, camera_of, kept, parse_edit, selected
from ar4d.errors import UserError
from ar4d.formats import render_views
from ar4d.gaussians import Gaussians
from ar4d.runs import Run

HIGHLIGHT = (1.0, 0.35, 0.0)
MAX_PIXELS = 1_000_000


def preview(run: Run, values: Any, height: int) -> dict[str, Any]:
    """What a selection takes: its number of splats, how many there are, and a picture of those taken.

    Args:
        values: an edit from a browser (`ar4d.cleanup.parse_edit`).
        height: of the picture in pixels.

    Returns:
        {"count", "total", "picture": a data URL of a transparent picture in the view's own shape, or ""}.

    Raises:
        UserError: the selection is none, or the run is not finished.
    """
    edit = parse_edit(values)
    asset = run.asset()
    here = kept(asset, run.cleanup)
    taken = selected(asset, edit) & here
    picture = ""
    if isinstance(edit, Outline) and bool(taken.any()):
        picture = _highlighted(asset.at(edit.time).select(taken), edit, height)
    return {"count": int(taken.sum()), "total": int(here.sum()), "picture": picture}


def cleaned_up(run: Run, action: str, values: Any) -> dict[str, Any]:
    """Deletes what an edit takes, takes the last edit back, or all of them; returns `summary`.

    Args:
        action: delete, undo or reset.
        values: the edit to delete.

    Raises:
        UserError: there is no such action, nothing to undo, or nothing would be left.
    """
    match action:
        case "delete":
            edit = parse_edit(values)
            if not bool((selected(run.asset(), edit) & kept(run.asset(), run.cleanup)).any()):
                raise UserError("No splat lies in this selection; select some first.")
            run.set_cleanup(run.cleanup.with_edit(edit))
        case "undo":
            run.set_cleanup(run.cleanup.undone())
        case "reset":
            run.set_cleanup(Cleanup())
        case _:
            raise UserError("A clean-up is one of: delete, undo, reset.")
    return summary(run)


def summary(run: Run) -> dict[str, Any]:
    """The clean-up of a finished run: {"left", "total", "edits": a sentence for each}."""
    asset, cleanup = run.asset(), run.cleanup
    mask = kept(asset, cleanup)
    words = [
        f"fainter than {edit.opacity:g}" if isinstance(edit, Faint) else "an outline"
        for edit in cleanup.edits
    ]
    return {"left": int(mask.sum()), "total": len(mask), "edits": words}


class _Still:
    """Gaussians that do not move, for the renderer."""

    num_frames, fps = 1, 1.0

    def __init__(self, gaussians: Gaussians) -> None:
        self._gaussians = gaussians

    def at(self, t: float) -> Gaussians:
        return self._gaussians


def _highlighted(gaussians: Gaussians, edit: Outline, height: int) -> str:
    """The splats in one colour on nothing, as they lie in the view."""
    height = max(16, min(height, int((MAX_PIXELS / edit.aspect) ** 0.5)))
    color = torch.tensor(HIGHLIGHT).expand(len(gaussians), 3).contiguous()
    bright = Gaussians(**{**gaussians.state(), "colors": color})
    (image,) = render_views(_Still(bright), [0.0], [camera_of(edit, height)], background="transparent")  # type: ignore[arg-type]
    image[..., 3] = np.where(image[..., 3] > 16, np.maximum(image[..., 3] // 4 * 3, 60), 0)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
