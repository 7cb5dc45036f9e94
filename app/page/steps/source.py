"""Step 1: a video, from a file, the webcam or the examples; or a prompt."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.page import html as fragments
from app.runs.prompt_jobs import CLIP, FACTS, Imagining
from app.service import Studio
from ar4d.errors import UserError
from ar4d.events import ClipJudged, Event, ExpertChosen, Progress, Warned
from ar4d.experts.registry import Entry
from ar4d.imagine import ImagineSettings

EXAMPLES = Path(__file__).parents[3] / "assets" / "examples"
PICTURES = [".gif", ".webp", ".apng", ".png"]


class SourceStep:
    """Attributes: the components by which a clip comes in."""

    def __init__(self, studio: Studio, imagining: Imagining | None = None) -> None:
        self.studio = studio
        self.imagining = imagining or Imagining(studio.cache, studio.device)
        with gr.Tabs(elem_classes="kinds"):
            with gr.Tab("Video"):
                self.video = gr.Video(
                    label="One object, filmed from a fixed place",
                    sources=["upload", "webcam"],
                    webcam_options=gr.WebcamOptions(mirror=False),
                    include_audio=True,  # else Gradio re-encodes, for which it needs a program
                    height=264,
                    elem_id="video",
                )
                with gr.Row(elem_classes="tight", equal_height=True):
                    gr.HTML(
                        f'<p class="hint" data-max-mb="{studio.limits.upload_mb}">MP4, MOV or WebM, up to '
                        f"{studio.limits.upload_mb} MB and {studio.limits.clip_seconds / 60:.0f} minutes.</p>"
                    )
                    self.animation = gr.UploadButton(
                        "GIF, WebP or PNG …", file_types=PICTURES, size="sm", scale=0, min_width=160
                    )
                gr.HTML('<p class="notice error" id="too-large" role="alert" hidden></p>')
            with gr.Tab("Prompt"):
                self._build_prompt()
        gr.HTML("<h3>Or take an example</h3>")
        self.examples = gr.HTML(
            _cards(),
            elem_id="examples",
            js_on_load="""element.addEventListener("click", (event) => {
                const card = event.target.closest("button[data-name]");
                if (card) trigger("select", { name: card.dataset.name });
            });
            if (!matchMedia("(prefers-reduced-motion: reduce)").matches)
                for (const video of element.querySelectorAll("video")) video.autoplay = true;""",
        )

    def _build_prompt(self) -> None:
        offers = self.imagining.offers()
        able = [entry for entry, why in offers if not why]
        with gr.Column(visible=bool(able)):
            self.prompt = gr.Textbox(
                label="What shall be seen",
                placeholder="a red fox walking",
                info="one subject, and what it does",
                lines=2,
                max_length=1000,
            )
            self.picture = gr.Image(
                label="Or a picture of it, which is set in motion",
                type="filepath",
                sources=["upload"],
                height=180,
            )
            with gr.Row(elem_classes="tight"):
                self.seeds = gr.Slider(
                    1, 6, 3, step=1, label="Tries", info="the best is taken", min_width=130
                )
                self.expert = gr.Dropdown(
                    ["auto", *(entry.name for entry in able)], value="auto", label="Expert", min_width=130
                )
                self.route = gr.Dropdown(
                    [("Prompt to clip", "direct"), ("By way of a picture", "picture-first")],
                    value="direct",
                    label="Way",
                    min_width=130,
                )
            with gr.Row(elem_classes="tight"):
                self.film = gr.Button("Make a clip", variant="primary", elem_id="film")
                self.cancel = gr.Button("Cancel", min_width=90)
            self.filming = gr.HTML("", elem_id="filming")
        gr.HTML(fragments.notice("" if able else prompt_obstacle(offers)))
        gr.HTML(offers_list(offers) if offers else "")

    @property
    def wish(self) -> list[Any]:
        """The components that `from_prompt` reads."""
        return [self.prompt, self.picture, self.seeds, self.expert, self.route]

    def from_prompt(
        self, token: str, prompt: str, picture: str | None, seeds: float, expert: str, route: Any
    ) -> Generator[tuple[str, Path | None]]:
        """Makes a draft of a clip that an expert makes.

        Yields:
            The progress as HTML, and the draft: None until the last item.

        Raises:
            UserError: it was cancelled, or refused, or nothing can make it here.
        """
        settings = ImagineSettings(expert=expert, seeds=int(seeds), route=route)
        folder: Path | None = None

        def filming() -> Generator[Event]:
            nonlocal folder
            folder = yield from self.imagining.film(
                token, prompt, Path(picture) if picture else None, settings
            )

        said: list[str] = []
        for event in filming():
            if sentence := _said(event):
                said.append(sentence)
            yield _filming(event, said), None
        if folder is None:
            raise UserError("Cancelled: no clip was made.")
        try:
            draft = self.studio.take(token, folder / CLIP, f"{prompt.strip()[:60] or 'clip'}.mp4")
            shutil.copyfile(folder / FACTS, draft / FACTS)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        yield "", draft

    def from_file(self, token: str, path: str | None) -> Path:
        """A draft of an uploaded or recorded file.

        Raises:
            UserError: nothing was uploaded, or see `Studio.take`.
        """
        if not path:
            raise UserError("No file has arrived; choose it again.")
        return self.studio.take(token, Path(path))

    def from_example(self, token: str, name: str) -> Path:
        """A draft of an example.

        Raises:
            UserError: there is no such example.
        """
        known = {path.stem: path for path in EXAMPLES.glob("*.mp4")}
        if name not in known:
            raise UserError("There is no such example; choose another one.")
        return self.studio.take(token, known[name], command_source=f"assets/examples/{name}.mp4")


def prompt_obstacle(offers: list[tuple[Entry, str]]) -> str:
    """Why there is no clip from a prompt here, in one sentence with the remedy."""
    if not offers:
        return (
            "This version has no expert that makes a clip of a prompt: let any video generator make a short "
            "clip of one object before a plain background, and drop it under “Video”."
        )
    return (
        f"None of {', '.join(entry.name for entry, _ in offers)} can make a clip here (reasons below): "
        "let any video generator make a short one of one object before a plain background, and drop it under "
        "“Video”."
    )


def offers_list(offers: list[tuple[Entry, str]]) -> str:
    """The experts with what they need, their sizes and licences, before anything is downloaded."""
    able = any(not why for _, why in offers)
    lines = "".join(
        f"<li><b>{escape(entry.name)}</b>: {escape(entry.needs)}; download {escape(entry.download)}; "
        f"{escape(entry.licence)}.<br>{escape(why or entry.summary)}</li>"
        for entry, why in offers
    )
    title = "Experts: what they need, sizes, licences"
    return (
        f'<details class="hint offers"{" open" if able else ""}><summary>{title}</summary>'
        f"<ul>{lines}</ul></details>"
    )


def _said(event: Event) -> str:
    """The line that an event leaves on the page, or ""."""
    match event:
        case ExpertChosen():
            return f"{event.name} for {event.role.replace('_', ' ')}"
        case ClipJudged():
            return f"Seed {event.seed}: {event.message}"
        case Warned():
            return event.message
    return ""


def _filming(event: Event, said: list[str]) -> str:
    """The state of a clip that is being made, as HTML."""
    lines = "".join(f"<li>{escape(sentence)}</li>" for sentence in said)
    now = ""
    if isinstance(event, Progress):
        share = f' value="{event.done}" max="{event.total}"' if event.total else ""
        count = f" {event.done} of {event.total}" if event.total and event.unit == "steps" else ""
        label = escape(event.task)
        now = f'<p>{label}{count}</p><progress{share} aria-label="{label}"></progress>'
    return f'<div role="status">{now}<ul class="hint">{lines}</ul></div>'


def _cards() -> str:
    cards = "".join(
        f'<button type="button" data-name="{escape(path.stem)}" aria-label="Example: {escape(path.stem)}">'
        f'<video src="examples/{escape(path.name)}" muted loop playsinline tabindex="-1"></video>'
        f"<span>{escape(path.stem.capitalize())}</span></button>"
        for path in sorted(EXAMPLES.glob("*.mp4"))
    )
    return f'<div class="cards">{cards}</div>'
