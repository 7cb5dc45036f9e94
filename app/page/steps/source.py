"""Step 1: a video from a file, the webcam, the examples or a prompt."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import examples
from app.page import html
from app.runs import zerogpu
from app.runs.prompt_jobs import CLIP, CLIP_RECORD, PromptJobs
from app.service import Service
from ar4d.errors import UserError
from ar4d.events import ClipJudged, Event, ExpertChosen, Progress, Warned
from ar4d.experts.registry import Entry
from ar4d.imagine import ImagineSettings


class SourceStep:
    """The components of step 1."""

    def __init__(self, service: Service, prompt_jobs: PromptJobs | None = None) -> None:
        self.service, limits = service, service.limits
        device = "cpu" if zerogpu.active() else service.device  # on ZeroGPU a worker has no GPU of its own
        self.prompt_jobs = prompt_jobs or PromptJobs(service.cache, device)
        with gr.Tabs(elem_classes="kinds"):
            with gr.Tab("File"):
                self.drop = gr.File(
                    label="Drop a video, GIF, pictures or a ZIP archive of pictures",
                    file_count="multiple",
                    height=200,
                    elem_id="drop",
                )
                gr.HTML(
                    f'<p class="hint" data-max-mb="{limits.upload_mb}"><b>A good clip</b> shows one '
                    "whole object that moves, filmed by a camera that stands still, before a "
                    "background that differs from it, in even light, for 1 to 5 seconds. "
                    f"Up to {limits.upload_mb} MB and {limits.clip_seconds / 60:.0f} minutes.</p>"
                )
                gr.HTML('<p class="notice error" id="too-large" role="alert" hidden></p>')
            with gr.Tab("Webcam"):
                self.webcam = gr.Video(
                    label="Hold the camera still",
                    sources=["webcam"],
                    webcam_options=gr.WebcamOptions(mirror=False),
                    include_audio=True,  # else Gradio re-encodes the video, which needs ffmpeg
                    height=264,
                    elem_id="webcam",
                )
            with gr.Tab("Prompt"):
                self._build_prompt()
        gr.HTML("<h2>Or choose an example</h2>")
        self.example = gr.State("")
        self.examples = gr.HTML(
            examples.cards(),
            elem_id="examples",
            js_on_load="""element.addEventListener("click", (event) => {
                const card = event.target.closest("button[data-name]");
                if (card) trigger("select", { name: card.dataset.name });
                const show = event.target.closest("button[data-show]");
                if (show) ar4dShowExample(show.dataset.show);
            });
            ar4dPlayExamples(element);""",
        )

    def _build_prompt(self) -> None:
        offers = self.prompt_jobs.offers()
        able = [entry for entry, why in offers if not why]
        self.prompt = gr.Textbox(
            label="Subject",
            placeholder="a red fox walking",
            info="one subject, and what it does",
            lines=2,
            max_length=1000,
            interactive=bool(able),
        )
        gr.HTML(html.notice("" if able else prompt_obstacle(offers)))
        with gr.Column(visible=bool(able)):
            self.picture = gr.Image(
                label="Or a picture, which is animated",
                type="filepath",
                sources=["upload"],
                height=180,
            )
            with gr.Row(elem_classes="tight"):
                self.seeds = gr.Slider(
                    1, 6, 3, step=1, label="Attempts", info="the best one is used", min_width=130
                )
                self.expert = gr.Dropdown(
                    ["auto", *(entry.name for entry in able)], value="auto", label="Expert", min_width=130
                )
                self.route = gr.Dropdown(
                    [("Prompt to clip", "direct"), ("Prompt to picture to clip", "picture-first")],
                    value="direct",
                    label="Route",
                    min_width=130,
                )
            with gr.Row(elem_classes="tight"):
                self.generate = gr.Button("Make a clip", variant="primary", elem_id="generate-clip")
                self.cancel = gr.Button("Cancel", min_width=90)
            self.generating = gr.HTML("", elem_id="generating")
        gr.HTML(offers_list(offers) if offers else "")

    @property
    def prompt_inputs(self) -> list[Any]:
        """The components that `from_prompt` reads."""
        return [self.prompt, self.picture, self.seeds, self.expert, self.route]

    def from_prompt(
        self, token: str, prompt: str, picture: str | None, seeds: float, expert: str, route: Any
    ) -> Generator[tuple[str, Path | None]]:
        """Makes a draft of a clip that an expert makes.

        Yields:
            The progress as HTML, and the draft: None until the last item.

        Raises:
            UserError: the clip was cancelled or refused, or no expert can make it here.
        """
        settings = ImagineSettings(expert=expert, seeds=int(seeds), route=route)
        folder: Path | None = None

        def events() -> Generator[Event]:
            nonlocal folder
            folder = yield from self.prompt_jobs.generate(
                token, prompt, Path(picture) if picture else None, settings
            )

        lines: list[str] = []
        for event in events():
            if line := _line(event):
                lines.append(line)
            yield _progress(event, lines), None
        if folder is None:
            raise UserError("Cancelled; no clip was made.")
        try:
            draft = self.service.create_draft(token, folder / CLIP, f"{prompt.strip()[:60] or 'clip'}.mp4")
            shutil.copyfile(folder / CLIP_RECORD, draft / CLIP_RECORD)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        yield "", draft

    def from_files(self, token: str, paths: str | list[str] | None) -> Path:
        """A draft of uploaded or recorded files.

        Raises:
            UserError: nothing was uploaded, or as `Service.create_draft`.
        """
        if not paths:
            raise UserError("No file was uploaded; choose it again.")
        return self.service.create_draft(
            token, [Path(p) for p in ([paths] if isinstance(paths, str) else paths)]
        )

    def from_example(self, token: str, name: str) -> Path:
        """A draft of an example.

        Raises:
            UserError: there is no such example.
        """
        known = {path.stem: path for path in examples.CLIPS.glob("*.mp4")}
        if name not in known:
            raise UserError("There is no such example; choose another one.")
        return self.service.create_draft(token, known[name], command_source=f"assets/examples/{name}.mp4")


def prompt_obstacle(offers: list[tuple[Entry, str]]) -> str:
    """Why no clip can be made from a prompt here, and what to do instead."""
    why = "This version cannot make a clip from words."
    if offers:
        why = "Making a clip from words needs a larger machine, with a GPU (what exactly is listed below)."
    return (
        f"{why} Make a short clip of one object on a plain background with any video generator, and drop it "
        "under “File”."
    )


def offers_list(offers: list[tuple[Entry, str]]) -> str:
    """The experts with their requirements, download sizes and licences."""
    able = any(not why for _, why in offers)
    lines = "".join(
        f"<li><b>{escape(entry.name)}</b>: {escape(entry.needs)}; download {escape(entry.download)}; "
        f"{escape(entry.licence)}.<br>{escape(why or entry.summary)}</li>"
        for entry, why in offers
    )
    title = "Experts: requirements, sizes, licences"
    return (
        f'<details class="hint offers"{" open" if able else ""}><summary>{title}</summary>'
        f"<ul>{lines}</ul></details>"
    )


def _line(event: Event) -> str:
    """The line that an event leaves on the page, or ""."""
    match event:
        case ExpertChosen():
            return f"{event.name} for {event.role.replace('_', ' ')}"
        case ClipJudged():
            return f"Seed {event.seed}: {event.message}"
        case Warned():
            return event.message
    return ""


def _progress(event: Event, lines: list[str]) -> str:
    """The state of a clip that is being made, as HTML."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    now = ""
    if isinstance(event, Progress):
        share = f' value="{event.done}" max="{event.total}"' if event.total else ""
        count = f" {event.done} of {event.total}" if event.total and event.unit == "steps" else ""
        label = escape(event.task)
        now = f'<p>{label}{count}</p><progress{share} aria-label="{label}"></progress>'
    return f'<div role="status">{now}<ul class="hint">{items}</ul></div>'
