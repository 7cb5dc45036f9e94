"""Step 4: the result, stage by stage, and its exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app.page import html, thumbnails
from app.page.cli_command import lift_command
from app.runs.progress import Progress
from app.runs.queue import Job
from app.runs.storage import JobRecord, read_job_record
from app.service import Service
from ar4d.clip import ClipSettings
from ar4d.events import Stage
from ar4d.formats.registry import menu
from ar4d.runs import Run

EMPTY = '<div class="panel empty"><p>Nothing is finished yet.</p></div>'
CUTOUT = ("Cut-out: the clip's frames with their alpha", "cutout")


class ResultStep:
    """The components of step 4; `shown` lists those that `show` fills."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.numbers = gr.HTML(EMPTY, elem_id="numbers")
        self.stages = gr.HTML("", elem_id="stages")
        self.frame = gr.Slider(1, 2, 1, step=1, label="Frame", interactive=False)
        gr.HTML("<h3>Download</h3>")
        with gr.Row(elem_classes="tight take"):
            self.format = gr.Dropdown(
                [*((choice.label, key) for key, (_, choice) in menu().items()), CUTOUT],
                value="html",
                label="Format",
                scale=3,
            )
            self.export = gr.Button("Make the file", interactive=False, scale=1, min_width=120)
        self.download = gr.DownloadButton("Make a file first", interactive=False, elem_id="download")
        gr.HTML("<h3>Share and repeat</h3>")
        with gr.Row(elem_classes="tight", equal_height=True):
            self.share = gr.Checkbox(
                False, label="Share a link", info="anyone with the link may watch", interactive=False, scale=1
            )
            self.link = gr.Textbox(
                "", label="Link", interactive=False, buttons=["copy"], scale=3, max_lines=1, elem_id="link"
            )
        self.command = gr.Code(
            "",
            language="shell",
            label="As a command",
            interactive=False,
            lines=1,
            wrap_lines=True,
            elem_id="command",
        )

    @property
    def shown(self) -> list[Any]:
        """The components that `show` fills."""
        taken = [self.export, self.download, self.share, self.link, self.command]
        return [self.numbers, self.stages, self.frame, *taken]

    def show(self, job: Job | None, address: str, drawn: bool = False) -> list[Any]:
        """The result of a run as far as it exists, for the components of `shown`.

        Args:
            address: the page's address, for the link.
            drawn: draw the stages' pictures, which takes a moment; else `compare` draws them later.
        """
        nothing = gr.DownloadButton("Make a file first", value=None, interactive=False)
        if job is None:
            off = [gr.Slider(interactive=False), gr.Button(interactive=False)]
            return [EMPTY, "", *off, nothing, gr.Checkbox(False, interactive=False), "", ""]
        record = read_job_record(job.folder)
        total = job.progress.num_frames
        middle = (total + 1) // 2
        return [
            html.numbers(_numbers(job)) if job.progress.psnr else EMPTY,
            self.compare(job, middle) if drawn else _blank(job.progress),
            gr.Slider(maximum=max(total, 2), value=middle, interactive=total > 1),
            gr.Button(interactive=job.state == "finished"),
            nothing,
            gr.Checkbox(record.share is not None, interactive=True),
            link(address, record.share),
            _command(job.run, record),
        ]

    def compare(self, job: Job, frame: int) -> str:
        """The input and each stage's picture of one frame, which is counted from 1."""
        k = int(frame) - 1
        pictures = [_stage_picture(job, name, k) for name in job.progress.stages]
        pairs = zip(
            _captions(job.progress), [thumbnails.input_picture(job.folder, k), *pictures], strict=True
        )
        return html.figures(list(pairs), "pictures four")

    def make(self, run: Path, key: str) -> gr.DownloadButton:
        """Exports in a format of the list; the button then holds the file."""
        if key in menu():
            format, choice = menu()[key]
            path = self.service.export(run, format.name, dict(choice.options))
        else:
            path = self.service.export(run, key)
        size = path.stat().st_size / 1e6
        return gr.DownloadButton(
            f"Download {path.name} ({size:.1f} MB)", value=str(path), interactive=True, variant="primary"
        )


def _captions(progress: Progress) -> list[str]:
    return ["Input", *(f"{k} {stage.title}" for k, stage in enumerate(progress.stages.values(), 1))]


def _blank(progress: Progress) -> str:
    return html.figures([(caption, None) for caption in _captions(progress)], "pictures four")


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
        ("PSNR, mean", f"{html.mean(progress.psnr.values()):.2f} dB"),
        ("PSNR, worst", f"{min(progress.psnr.values()):.2f} dB"),
        ("SSIM, mean", f"{html.mean(progress.ssim.values()):.4f}"),
        ("frames", f"{progress.frames_done} of {progress.num_frames}"),
        ("time", html.duration(seconds) if seconds else "–"),
        ("size on disk", f"{_megabytes(job.run):.1f} MB"),
        ("Gaussians", _count(job.run)),
    ]
    experts = sorted({name for name, _ in progress.experts.values()})
    return [*pairs, *([("expert", ", ".join(experts))] if experts else [])]


def _command(run: Run, record: JobRecord) -> str:
    """The shell command that repeats the run."""
    recipe, out = run.record.recipe, f"runs/{Path(record.name).stem}"
    if record.command_source:
        return lift_command(record.command_source, out, recipe.clip, recipe.settings)
    return (
        "# The cut-out was corrected by a box. Download “Cut-out” above and unpack it first.\n"
        + lift_command("cutout", out, _as_cut_out(run), recipe.settings)
    )


def _as_cut_out(run: Run) -> ClipSettings:
    """Settings that read the downloaded cut-out without changing it."""
    clip = run.clip
    return ClipSettings(num_frames=clip.num_frames, framing="keep", background="alpha", fps=clip.fps)


def link(address: str, share: str | None) -> str:
    """The address of a shared run; empty if it is not shared."""
    return f"{address.rstrip('/')}/share/{share}" if share else ""


def _count(run: Run) -> str:
    from ar4d.gaussians import Gaussians

    path = run.frame_path(0)
    return f"{len(Gaussians.load(path)):,}" if path.exists() else "–"


def _megabytes(run: Run) -> float:
    frames = (run.frame_path(k) for k in range(run.num_finished))
    return sum(path.stat().st_size for path in (*frames, run.asset_path) if path.exists()) / 1e6
