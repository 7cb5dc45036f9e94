"""Which way the subject faces: eight arrows round the first frame."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.page import thumbnails
from app.runs.drafts import CutoutRecord
from ar4d.settings import FACING_DEG, facing_words

SURE = 0.75  # probability from which on the guess need not be questioned

_PRESSED = "element.addEventListener('ar4d-facing', (e) => trigger('select', e.detail));"


class FacingChoice:
    """Arrows round a picture; `view.select` carries {"facing": the chosen setting, "auto" for the guess}."""

    def __init__(self, elem_id: str) -> None:
        self.view = gr.HTML("", elem_id=elem_id, js_on_load=_PRESSED)

    def show(self, picture: str | None, chosen: str, guess: tuple[float, float] | None) -> str:
        """The arrows as HTML.

        Args:
            picture: address of the first frame's picture.
            chosen: the setting: "auto" or a direction.
            guess: azimuth in degrees, which may be off by 180, and the probability that it is right.
        """
        if picture is None:
            return ""
        pair = facing_words(guess[0]).split(" or ") if guess else []
        facts = {"names": list(FACING_DEG), "chosen": chosen, "guess": pair}
        return (
            "<p><b>Which way does it face?</b></p>"
            f'<ar4d-facing data-facts="{escape(json.dumps(facts))}" data-picture="{picture}"></ar4d-facing>'
            f'<p class="hint">{escape(_sentence(chosen, guess))}</p>'
        )


def of_draft(choice: FacingChoice, draft: Path | None, record: CutoutRecord | None, chosen: str) -> str:
    """The arrows round a draft's first frame."""
    if draft is None or record is None:
        return ""
    return choice.show(thumbnails.input_picture(draft, 0), chosen, guess_of(record))


def guess_of(record: CutoutRecord) -> tuple[float, float] | None:
    """A cut-out's guessed azimuth and its probability."""
    return None if record.facing is None else (record.facing[0], record.facing[1])


def _sentence(chosen: str, guess: tuple[float, float] | None) -> str:
    if chosen != "auto":
        return f"It faces {chosen} in the first frame, as you said. Press that arrow again for the guess."
    if guess is None:
        return "Press the arrow that points where the subject looks: down is at the camera."
    said = f"It seems to face {facing_words(guess[0])} ({guess[1]:.0%} sure)."
    if guess[1] < SURE:
        return f"{said} Press the arrow that points where it looks if you can tell: down is at the camera."
    return f"{said} Press another arrow if that is wrong: down is at the camera."


def read_facing(values: Any) -> str:
    """The direction that a browser sent; "auto" for anything else."""
    facing = values.get("facing") if isinstance(values, dict) else None
    return facing if facing in FACING_DEG else "auto"
