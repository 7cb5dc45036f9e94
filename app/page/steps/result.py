"""Step 4: the result, stage by stage, its files, and its clean-up by hand."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from app.page import html, thumbnails
from app.page.cli_command import lift_command
from app.page.quality import both_stages
from app.page.steps.facing_again import FacingAgain
from app.runs import other_views
from app.runs.cleanups import summary
from app.runs.progress import Progress
from app.runs.queue import Job
from app.runs.storage import JobRecord, read_job_record
from app.service import Service
from ar4d.errors import UserError
from ar4d.events import Stage
from ar4d.runs import Run

EMPTY = (
    '<div class="panel empty"><p>Nothing is finished yet.</p>'
    '<button type="button" data-go="Input">Choose a clip</button></div>'
)
WORKING = (
    '<div class="panel empty"><p>This run is not finished yet; its files can be made when it is.</p>'
    '<button type="button" data-go="Generate">See how far it is</button></div>'
)

MEASURED = (
    '<p class="hint measured">PSNR and SSIM compare the result with the clip, at its own camera and frames '
    "only: above 30 dB a difference is hard to see. They say nothing of the sides that the clip "
    "does not show.</p>"
)


class ResultStep:
    """The components of step 4; `shown` lists those that `show` fills."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.numbers = gr.HTML(EMPTY, elem_id="numbers")
        self.stages = gr.HTML("", elem_id="stages")
        with gr.Column(visible=False) as self.files:
            self.facing_again = FacingAgain()
            gr.HTML("<h2>Take it with you</h2>")
            self.exports = gr.HTML("", elem_id="exports")
            with gr.Accordion("Clean up: delete splats by hand", open=False):
                self.cleanup = gr.HTML("", elem_id="cleanup")
        with gr.Column(visible=False) as self.more:
            gr.HTML("<h2>Share and repeat</h2>")
            with gr.Row(elem_classes="tight", equal_height=True):
                self.share = gr.Checkbox(
                    False, label="Share a link", info="anyone with the link may watch", scale=1
                )
                self.link = gr.Textbox(
                    "",
                    label="Link",
                    interactive=False,
                    buttons=["copy"],
                    scale=3,
                    max_lines=1,
                    elem_id="link",
                )
            self.command = gr.Code(
                "",
                language=None,  # its colours for a shell cannot be read on white
                label="As a command",
                interactive=False,
                lines=1,
                wrap_lines=True,
                elem_id="command",
            )

    @property
    def shown(self) -> list[Any]:
        """The components that `show` fills."""
        taken = [self.files, self.exports, self.cleanup, self.more, self.share, self.link, self.command]
        return [self.numbers, self.stages, *taken]

    def show(self, job: Job | None, address: str) -> list[Any]:
        """The result of a run as far as it exists, for the components of `shown`.

        Args:
            address: the page's address, for the link.
        """
        if job is None:
            hidden = gr.Column(visible=False)
            return [EMPTY, "", hidden, "", "", hidden, gr.Checkbox(False), "", ""]
        record, finished = read_job_record(job.folder), job.state == "finished"
        ticket = self.service.exports.ticket(job.folder)
        numbers = html.numbers(_numbers(job)) if job.progress.psnr else ""
        return [
            both_stages(job.progress) + numbers + MEASURED if finished else WORKING + numbers,
            _stages(job, ticket),
            gr.Column(visible=finished),
            *(_files(job, ticket) if finished else ("", "")),
            gr.Column(visible=True),
            gr.Checkbox(record.share is not None),
            link(address, record.share),
            _command(job.run, record),
        ]


def stage_pictures(job: Job, frame: int) -> list[dict[str, str | None]]:
    """The input and each stage's picture of one frame, counted from 0: {"caption", "picture": a data URL}.

    Raises:
        UserError: there is no such frame.
    """
    if not 0 <= frame < job.progress.num_frames:
        raise UserError(f"The clip has no frame {frame + 1}.")
    pictures = [_stage_picture(job, name, frame) for name in job.progress.stages]
    pairs = zip(
        _captions(job.progress), [thumbnails.input_picture(job.folder, frame), *pictures], strict=True
    )
    return [{"caption": caption, "picture": picture} for caption, picture in pairs]


def _captions(progress: Progress) -> list[str]:
    return ["Input", *(f"{k} {stage.title}" for k, stage in enumerate(progress.stages.values(), 1))]


def _stages(job: Job, ticket: str) -> str:
    facts = {"count": job.progress.num_frames, "captions": _captions(job.progress)}
    # The state is part of the facts, so that a run that ends shows its last pictures.
    return _element("stages", ticket, facts={**facts, "state": job.state})


def _files(job: Job, ticket: str) -> tuple[str, str]:
    """The cards of the formats, and the clean-up."""
    try:
        facts = summary(job.run)
    except UserError as error:  # a damaged result must not hide the run
        return html.problem(error), ""
    cleaned = "1" if facts["edits"] else ""
    own = {"elevation_deg": job.run.record.recipe.settings.elevation_deg}
    return _element("exports", ticket, cleaned=cleaned, own=own), _element("cleanup", ticket, facts=facts)


def _element(name: str, ticket: str, **data: Any) -> str:
    """One of the result's custom elements (app/page/web)."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in data.items()}
    attributes = "".join(f' data-{key}="{escape(value)}"' for key, value in texts.items())
    return f'<ar4d-{name} data-ticket="{ticket}"{attributes}></ar4d-{name}>'


def _stage_picture(job: Job, stage: Stage, frame: int) -> str | None:
    """A stage's result at a frame: the asset for the last stage, else what it and earlier stages made."""
    names = list(job.progress.stages)
    if stage == names[-1] and job.run.asset_path.exists():
        return thumbnails.asset_picture(job.run, frame)
    made_by = job.progress.made_by
    if stage not in made_by.values():
        return None
    earlier = names[: names.index(stage) + 1]
    frames = [k for k, maker in made_by.items() if maker in earlier]
    if len(frames) == 1:
        return thumbnails.frame_picture(job.run, frames[0])
    return thumbnails.frame_picture(job.run, frame) if frame in frames else None


def _numbers(job: Job) -> list[tuple[str, str]]:
    progress = job.progress
    seconds = sum(stage.seconds for stage in progress.stages.values())
    pairs = [
        ("likeness (PSNR), mean", f"{html.mean(progress.psnr.values()):.2f} dB"),
        ("likeness, worst frame", f"{min(progress.psnr.values()):.2f} dB"),
        ("SSIM, mean", f"{html.mean(progress.ssim.values()):.4f}"),
        ("frames", f"{progress.frames_done} of {progress.num_frames}"),
        ("time", html.duration(seconds) if seconds else "–"),
        ("size on disk", f"{_megabytes(job.run):.1f} MB"),
        ("Gaussians", _count(job.run)),
    ]
    experts = sorted({name for name, _ in progress.experts.values()})
    return [*pairs, *([("expert for unseen sides", ", ".join(experts))] if experts else [])]


def _command(run: Run, record: JobRecord) -> str:
    """The shell command that repeats the run."""
    recipe, out = run.record.recipe, f"runs/{Path(record.name).stem}"
    views = "sides" if other_views.given_to(run) else ""
    return lift_command(record.command_source or record.name, out, recipe.clip, recipe.settings, views)


def link(address: str, share: str | None) -> gr.Textbox:
    """The address of a shared run, with a word if it opens on this computer only; empty if there is none."""
    if not share:
        return gr.Textbox("", info="")
    local = urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")
    info = "opens on this computer only, because the server runs here" if local else ""
    return gr.Textbox(f"{address.rstrip('/')}/share/{share}", info=info)


def _count(run: Run) -> str:
    from ar4d.gaussians import Gaussians

    path = run.frame_path(0)
    return f"{len(Gaussians.load(path)):,}" if path.exists() else "–"


def _megabytes(run: Run) -> float:
    frames = (run.frame_path(k) for k in range(run.num_finished))
    return sum(path.stat().st_size for path in (*frames, run.asset_path) if path.exists()) / 1e6
