"""Step 2: the cut-out and the controls that correct it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Generator
from html import escape
from pathlib import Path
from typing import Any, Literal, get_args

import gradio as gr
from pydantic import TypeAdapter, ValidationError

from app.page import html, thumbnails
from app.runs.drafts import TILE_SIDE, CutoutRecord
from app.service import Service
from ar4d.clip import ClipSettings, Corrections
from ar4d.clip.matting import Background
from ar4d.clip.motion import TOO_FAST
from ar4d.errors import UserError
from ar4d.events import Event, Progress

EMPTY = (
    '<div class="cutout-empty"><p>Choose a video first.</p>'
    '<button type="button" data-go="Input">Choose a video</button></div>'
)
BUSY = '<div class="cutout-empty busy"><p>Reading the video …</p></div>'
BACKGROUNDS = {
    "auto": "Automatic",
    "plain": "One plain colour",
    "matting": "Matting by a network",
    "alpha": "The clip's own alpha",
    "none": "Keep the background",
}
CANONICAL = [("the first", "0"), ("the best one", "auto")]
_corrections: TypeAdapter[Corrections] = TypeAdapter(Corrections)


class CutoutStep:
    """The components of step 2: `view` shows the cut-out, `controls` are its settings."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.progress = gr.HTML("", elem_id="cutout-progress")
        self.cancel = gr.Button("Cancel", visible=False, elem_id="cancel-cutout")
        self.view = gr.HTML(
            EMPTY,
            elem_id="cutout",
            js_on_load="element.addEventListener('ar4d-cutout', (e) => trigger('select', e.detail));",
        )
        self.notices = gr.HTML("", elem_id="cutout-notices")
        with gr.Column(visible=False) as self.more:
            self.num_frames = gr.Slider(
                1,
                service.limits.num_frames,
                24,
                step=1,
                label="Frames",
                info="taken at even distances between both handles",
            )
            with gr.Accordion("Exact times, background and framing", open=False):
                with gr.Row(elem_classes="tight"):
                    self.start = gr.Number(0, label="From", info="seconds", minimum=0, min_width=130)
                    self.end = gr.Number(1, label="To", info="seconds", minimum=0, min_width=130)
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
                        0.05,
                        0.95,
                        0.5,
                        step=0.05,
                        label="Threshold",
                        info="lower keeps soft and doubtful parts, higher drops them",
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
            with gr.Accordion("Add views from other sides", open=False, elem_id="sides"):
                gr.HTML(
                    '<p class="hint">Videos of the same motion at the same times, of the clip\'s size, from '
                    "cameras at the same height and distance. Each file's name ends with its azimuth in "
                    "degrees: 090.mp4 from the camera's right, 180.mp4 from behind, -90.mp4 from its left. "
                    "They take the place of the guess of the unseen sides.</p>"
                )
                self.sides = gr.File(label="Videos from other sides", file_count="multiple", height=120)
                self.no_sides = gr.Button("Remove the views from other sides", size="sm")
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
        return [self.view, self.notices, self.proceed, self.progress, self.cancel, self.more]

    def cut(
        self, draft: Path, size: int, values: list[Any] | None = None, corrections: Corrections | None = None
    ) -> Generator[Event, None, CutoutRecord]:
        """Makes the cut-out with the controls' values, or with the defaults for a new video.

        Args:
            corrections: those to apply in place of the present ones.

        Yields:
            The progress.
        """
        settings = ClipSettings() if values is None else self._settings(draft, values)
        if corrections is not None:
            settings = dataclasses.replace(settings, corrections=corrections)
        return (yield from self.service.cutting_out(draft, settings, size))

    def show(self, draft: Path | None, record: CutoutRecord | None) -> list[Any]:
        """The values of `shown` for a draft."""
        done = ["", gr.Button(visible=False)]
        if draft is None or record is None:
            return [EMPTY, "", gr.Button(interactive=False), *done, gr.Column(visible=False)]
        notices = html.notices([in_page_words(w) for w in [*record.warnings, *too_fast(record)]])
        shown = [_view(draft, record), with_links(notices), gr.Button(interactive=True)]
        return [*shown, *done, gr.Column(visible=True)]

    def show_failure(self, error: UserError) -> list[Any]:
        """The values of `shown` for a video that cannot be used."""
        said = (
            f'<div class="cutout-empty">{html.problem(error)}'
            '<button type="button" data-go="Input">Choose another one</button></div>'
        )
        return [said, *self.show(None, None)[1:]]

    def show_progress(self, draft: Path, event: Event) -> list[Any]:
        """The values of `shown` while a cut-out is made."""
        if not isinstance(event, Progress):
            return [gr.skip()] * len(self.shown)
        working = cutting(draft, event)
        waiting = [gr.skip(), gr.skip(), gr.Button(interactive=False)]
        return [*waiting, working, gr.Button(visible=True), gr.skip()]

    def settings_of(self, record: CutoutRecord) -> list[Any]:
        """The values of the controls with which a cut-out was made."""
        settings = record.settings
        length = round(record.length, 2)
        most = max(2, min(self.service.limits.num_frames, record.source_frames))
        return [
            settings.start or 0.0,
            length if settings.end is None else settings.end,
            gr.Slider(maximum=most, value=min(settings.num_frames, most)),
            settings.threshold,
            settings.largest_component,
            settings.background,
            settings.framing,
            str(settings.canonical),
        ]

    def _settings(self, draft: Path, values: list[Any]) -> ClipSettings:
        start, end, num_frames, threshold, largest, background, framing, canonical = values
        whole = (draft / "draft.json").exists()
        before = CutoutRecord.read(draft) if whole else None
        length = before.length if before else end
        return ClipSettings(
            start=float(start or 0) or None,
            end=None if end is None or end >= round(length, 2) - 0.005 else float(end),
            num_frames=int(num_frames),
            framing=framing,
            background=background,
            threshold=float(threshold),
            largest_component=bool(largest),
            canonical=_canonical(canonical),
            corrections=before.settings.corrections if before else Corrections(),
        )


def read_corrections(values: Any) -> Corrections:
    """The corrections that a browser sent.

    Raises:
        UserError: they are none.
    """
    try:
        return _corrections.validate_python(values)
    except ValidationError as error:
        raise UserError("The corrections cannot be read: reload the page and draw them again.") from error


def too_fast(record: CutoutRecord) -> list[str]:
    """A warning where the motion between two frames is too large for the number of frames."""
    if record.fastest <= TOO_FAST or record.num_frames < 2:
        return []
    moved = f"The subject moves by up to {100 * record.fastest:.0f} % of its size from one frame to the next"
    if record.num_chosen >= record.source_frames:
        return [f"{moved}, and the source has no more frames: between them, the result may fall apart."]
    needed = min(record.frames_needed, record.source_frames)
    return [f"{moved}: take about {needed} frames or a shorter part, or it may fall apart between them."]


_ON_THE_PAGE = {
    "choose the subject with --subject X Y, or keep everything with --no-largest-component": "click on the "
    "one you mean with Keep and on the other with Drop, or turn “One piece only” off",
    "--no-largest-component keeps it": "turn “One piece only” off to keep it",
    "use --start and --end to leave these frames out": "trim the clip to leave these frames out",
}


def in_page_words(warning: str) -> str:
    """A warning in which the page's controls take the place of the command line's options."""
    for options, controls in _ON_THE_PAGE.items():
        warning = warning.replace(options, controls)
    return warning


def with_links(notices: str) -> str:
    """Warnings in HTML whose frame numbers are buttons that lead there."""
    return re.sub(r"\bframe (\d+)", r'<button type="button" data-frame="\1">frame \1</button>', notices)


def cutting(draft: Path, event: Progress) -> str:
    """A cut-out in the making, as HTML: how far it is, and the frames that are finished."""
    done = sorted((draft / "progress").glob("*.webp"))[: event.done if event.total else None]
    tiles = "".join(f'<img src="{address}" alt="">' for address in filter(None, map(_tile, done)))
    label = f"{event.task}: frame {event.done} of {event.total}"
    return (
        f'<div class="cutting" role="status"><p>{escape(label)}</p>'
        f'<progress value="{event.done}" max="{event.total}" aria-label="{escape(event.task)}"></progress>'
        f"<div>{tiles}</div></div>"
    )


def _tile(path: Path) -> str | None:
    try:
        return thumbnails.sheet(path, path.stat().st_mtime)
    except FileNotFoundError:  # the cut-out has just been finished
        return None


def _sides(record: CutoutRecord) -> str:
    """Which views from other sides there are, as a sentence."""
    if not record.sides:
        return ""
    return f"Also seen from {', '.join(f'{azimuth:g}°' for azimuth in record.sides)}. "


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
        for name, file in (("whole", "whole.jpg"), ("cutout", "cutout.webp"), ("strip", "strip.jpg"))
    }
    settings = record.settings
    shown = {
        "id": draft.name,
        "chosen": record.num_chosen,
        "numbers": record.numbers,
        "fps": record.fps,
        "corrections": _corrections.dump_python(settings.corrections, mode="json"),
        "crop": record.crop,
        "source": [record.width, record.height],
        "sourceFrames": record.source_frames,
        "length": record.length,
        "start": settings.start or 0.0,
        "end": record.length if settings.end is None else settings.end,
        "wholeTile": record.whole_tile,
        "cutTile": TILE_SIDE,
        "stripTile": record.strip_tile,
        "stripCount": record.strip_count,
    }
    by = {"u2netp": "by a matting network", "plain background": "by its background's colour"}
    how = by.get(record.matting, "by its own alpha" if record.matting == "alpha" else "not at all")
    corrected = ", corrected by hand" if settings.corrections else ""
    return (
        f'<ar4d-cutout data-facts="{escape(json.dumps(shown))}" data-whole="{sheets["whole"]}" '
        f'data-cutout="{sheets["cutout"]}" data-strip="{sheets["strip"]}"></ar4d-cutout>'
        f'<p class="hint">{record.num_frames} frames, cut out {how}{corrected}; '
        f"the source is {record.width}×{record.height}, {record.length:.1f} s. {_sides(record)}"
        f"{escape(record.canonical_reason)}</p>"
    )
