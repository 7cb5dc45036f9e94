"""Step 1: a video, from a file, the webcam or the examples; or a prompt."""

from __future__ import annotations

from html import escape
from pathlib import Path

import gradio as gr

from app import fragments
from app.studio import Studio
from ar4d.errors import UserError
from ar4d.experts.registry import ENTRIES

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
PICTURES = [".gif", ".webp", ".apng", ".png"]


class SourceStep:
    """Attributes: the components by which a clip comes in."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
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
                gr.HTML(fragments.notice(prompt_obstacle()))
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


def prompt_obstacle() -> str:
    """Why there is no video from a prompt here, in one sentence with the remedy."""
    experts = [entry for entry in ENTRIES if "text_to_video" in entry.roles]
    if not experts:
        return (
            "This version has no expert that makes a video from a prompt yet: let any video generator make a "
            "short clip of one object before a plain background, and drop it under “Video”."
        )
    names = ", ".join(entry.name for entry in experts)
    return f"The page cannot ask {names} yet: use `python -m ar4d lift` with a prompt."


def _cards() -> str:
    cards = "".join(
        f'<button type="button" data-name="{escape(path.stem)}" aria-label="Example: {escape(path.stem)}">'
        f'<video src="examples/{escape(path.name)}" muted loop playsinline tabindex="-1"></video>'
        f"<span>{escape(path.stem.capitalize())}</span></button>"
        for path in sorted(EXAMPLES.glob("*.mp4"))
    )
    return f'<div class="cards">{cards}</div>'
