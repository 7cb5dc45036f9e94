"""Step 2: the cut-out and the controls that correct it."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any, Literal, get_args

import gradio as gr

from app.page import html, thumbnails
from app.runs.drafts import TILE_SIDE, Box, CutoutRecord
from app.service import Service
from ar4d.clip import ClipSettings
from ar4d.clip.matting import Background
from ar4d.errors import UserError

EMPTY = '<div class="cutout-empty"><p>Choose a video first.</p></div>'
BACKGROUNDS = {
    "auto": "Automatic",
    "plain": "One plain colour",
    "matting": "Matting by a network",
    "alpha": "The clip's own alpha",
    "none": "Keep the background",
}
CANONICAL = [("the first", "0"), ("the best one", "auto")]


class CutoutStep:
    """The components of step 2: `view` shows the cut-out, `controls` are its settings."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.view = gr.HTML(
            EMPTY,
            elem_id="cutout",
            js_on_load="element.addEventListener('ar4d-box', (e) => trigger('select', e.detail));",
        )
        self.notices = gr.HTML("", elem_id="cutout-notices")
        with gr.Row(elem_classes="tight"):
            self.start = gr.Slider(0, 1, 0, step=0.01, label="From", info="seconds", min_width=130)
            self.end = gr.Slider(0, 1, 1, step=0.01, label="To", info="seconds", min_width=130)
            self.num_frames = gr.Slider(
                1, service.limits.num_frames, 24, step=1, label="Frames", info="evenly spaced", min_width=130
            )
        with gr.Accordion("Background and framing", open=False):
            with gr.Row(elem_classes="tight"):
                self.background = gr.Dropdown(
                    [(BACKGROUNDS[name], name) for name in get_args(Background)],
                    value="auto",
                    label="Background",
                )
                self.framing = gr.Dropdown(
                    [("Whole motion", "union"), ("Unchanged", "keep")],
                    value="union",
                    label="Framing",
                )
            with gr.Row(elem_classes="tight"):
                self.threshold = gr.Slider(
                    0.05, 0.95, 0.5, step=0.05, label="Threshold", info="lower keeps more"
                )
                self.canonical = gr.Dropdown(
                    CANONICAL,
                    value="0",
                    label="Canonical frame",
                    info="on which the object is built; a number counts from 0",
                    allow_custom_value=True,
                )
                self.largest = gr.Checkbox(
                    True, label="One piece only", info="drop pieces that are not connected to the subject"
                )
        self.estimate = gr.HTML("", elem_id="cutout-estimate")
        self.proceed = gr.Button("Continue", variant="primary", interactive=False)

    @property
    def controls(self) -> list[Any]:
        """The components that set how the cut-out is made."""
        times = [self.start, self.end, self.num_frames]
        return [*times, self.threshold, self.largest, self.background, self.framing, self.canonical]

    @property
    def shown(self) -> list[Any]:
        """The components that `show` fills."""
        return [self.view, self.notices, self.proceed]

    def cut(self, draft: Path, size: int, box: Box | None, values: list[Any] | None = None) -> CutoutRecord:
        """Makes the cut-out with the controls' values, or with the defaults for a new video."""
        settings = ClipSettings() if values is None else self._settings(draft, values)
        return self.service.cut_out(draft, settings, size, box)

    def show(self, draft: Path | None, record: CutoutRecord | None) -> list[Any]:
        """The values of `shown` for a draft."""
        if draft is None or record is None:
            return [EMPTY, "", gr.Button(interactive=False)]
        return [
            _view(draft, record),
            html.notices(record.warnings),
            gr.Button(interactive=True),
        ]

    def settings_of(self, record: CutoutRecord) -> list[Any]:
        """The values of the controls with which a cut-out was made."""
        settings = record.settings
        length = max(round(record.length, 2), 0.02)
        most = max(2, min(self.service.limits.num_frames, record.source_frames))
        return [
            gr.Slider(maximum=length, value=settings.start or 0.0),
            gr.Slider(maximum=length, value=length if settings.end is None else settings.end),
            gr.Slider(maximum=most, value=min(settings.num_frames, most)),
            settings.threshold,
            settings.largest_component,
            settings.background,
            settings.framing,
            str(settings.canonical),
        ]

    def _settings(self, draft: Path, values: list[Any]) -> ClipSettings:
        start, end, num_frames, threshold, largest, background, framing, canonical = values
        length = CutoutRecord.read(draft).length if (draft / "draft.json").exists() else end
        return ClipSettings(
            start=float(start) or None,
            end=None if end >= round(length, 2) else float(end),
            num_frames=int(num_frames),
            framing=framing,
            background=background,
            threshold=float(threshold),
            largest_component=bool(largest),
            canonical=_canonical(canonical),
        )


def _canonical(value: Any) -> Literal["auto"] | int:
    """The canonical frame that the control shows."""
    text = str(value).strip()
    if text == "auto":
        return "auto"
    if not text.isdecimal():
        raise UserError(f"The canonical frame is a frame's number, counted from 0, or auto, not {text!r}.")
    return int(text)


def _view(draft: Path, record: CutoutRecord) -> str:
    sheets = {
        name: thumbnails.sheet(draft / file, (draft / file).stat().st_mtime)
        for name, file in (("whole", "whole.jpg"), ("cutout", "cutout.webp"))
    }
    shown = {
        "count": record.num_frames,
        "fps": record.fps,
        "box": record.box,
        "crop": record.crop,
        "source": [record.width, record.height],
        "wholeTile": record.whole_tile,
        "wholeCount": record.whole_count,
        "cutTile": TILE_SIDE,
    }
    return (
        f'<ar4d-cutout data-facts="{escape(json.dumps(shown))}" data-whole="{sheets["whole"]}" '
        f'data-cutout="{sheets["cutout"]}"></ar4d-cutout>'
        f'<p class="hint">{record.num_frames} frames, cut out by {escape(record.matting)}; '
        f"the source is {record.width}×{record.height}, {record.length:.1f} s. "
        f"{escape(record.canonical_reason)}</p>"
    )
