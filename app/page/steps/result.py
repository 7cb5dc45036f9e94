"""Step 4: what came out, stage by stage, and what to take away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app.page import html as fragments
from app.page import thumbnails as pictures
from app.page.cli_command import lift_command
from app.runs.storage import read_label
from app.service import Studio
from ar4d.export.formats import menu
from ar4d.runs import Run

EMPTY = '<div class="panel empty"><p>Nothing is finished yet.</p></div>'
CUTOUT = ("Cut-out: the clip's frames with their alpha", "cutout")
STAGES: tuple[tuple[pictures.Kind, str], ...] = (
    ("input", "Input"),
    ("initial", "1 First frame"),
    ("generated", "2 Motion"),
    ("refined", "3 Refined"),
)
BLANK = fragments.pictures([(title, None) for _, title in STAGES], "pictures four")


class ResultStep:
    """Attributes: `shown` is what `show` fills."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.numbers = gr.HTML(EMPTY, elem_id="numbers")
        self.stages = gr.HTML(BLANK, elem_id="stages")
        self.frame = gr.Slider(1, 2, 1, step=1, label="Frame", interactive=False)
        gr.HTML("<h3>Take it with you</h3>")
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
                False, label="Share a link", info="whoever has it may watch", interactive=False, scale=1
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
        taken = [self.export, self.download, self.share, self.link, self.command]
        return [self.numbers, self.stages, self.frame, *taken]

    def show(self, run: Path | None, address: str, drawn: bool = False) -> list[Any]:
        """A run's result, or what is there of it.

        Args:
            address: of the page, for the link.
            drawn: whether with the stages' pictures, which take a moment; else `compare` brings them.
        """
        nothing = gr.DownloadButton("Make a file first", value=None, interactive=False)
        if run is None:
            off = [gr.Slider(interactive=False), gr.Button(interactive=False)]
            return [EMPTY, BLANK, *off, nothing, gr.Checkbox(False, interactive=False), "", ""]
        opened, label = Run.open(run), read_label(run)
        job = self.studio.jobs.get(run)
        total = job.progress.num_frames
        finished = job.state == "finished"
        middle = (total + 1) // 2
        return [
            fragments.numbers(self._numbers(opened, job)) if job.progress.psnr else EMPTY,
            self.compare(run, middle) if drawn else BLANK,
            gr.Slider(maximum=max(total, 2), value=middle, interactive=total > 1),
            gr.Button(interactive=finished),
            nothing,
            gr.Checkbox(label.share is not None, interactive=True),
            link(address, label.share),
            self._command(run, opened),
        ]

    def compare(self, run: Path, frame: int) -> str:
        """The input and each stage's render of one frame (counted from 1)."""
        k = int(frame) - 1
        pairs = [(title, pictures.picture_if_made(run, kind, k)) for kind, title in STAGES]
        return fragments.pictures(pairs, "pictures four")

    def make(self, run: Path, key: str) -> gr.DownloadButton:
        """Exports a line of the list of formats; the button then holds the file."""
        if key in menu():
            format, choice = menu()[key]
            path = self.studio.export(run, format.name, dict(choice.options))
        else:
            path = self.studio.export(run, key)
        size = path.stat().st_size / 1e6
        return gr.DownloadButton(
            f"Download {path.name} ({size:.1f} MB)", value=str(path), interactive=True, variant="primary"
        )

    def _numbers(self, run: Run, job: Any) -> list[tuple[str, str]]:
        progress, seconds = job.progress, sum(run.record.seconds.values())
        pairs = [
            ("PSNR, mean", f"{fragments.mean(progress.psnr.values()):.2f} dB"),
            ("PSNR, worst", f"{min(progress.psnr.values()):.2f} dB"),
            ("SSIM, mean", f"{fragments.mean(progress.ssim.values()):.4f}"),
            ("frames", f"{progress.frames_done} of {progress.num_frames}"),
            ("time", fragments.spoken_seconds(seconds) if seconds else "–"),
            ("size on disk", f"{_megabytes(run.folder):.1f} MB"),
            ("Gaussians", _count(run)),
        ]
        experts = sorted(set(run.record.experts.values()))
        return [*pairs, *([("expert", ", ".join(experts))] if experts else [])]

    def _command(self, folder: Path, run: Run) -> str:
        recipe, label = run.record.recipe, read_label(folder)
        if label.command_source:
            return lift_command(
                label.command_source, f"runs/{Path(label.name).stem}", recipe.clip, recipe.settings
            )
        return (
            "# The cut-out was corrected by a box. Download “Cut-out” above and unpack it first.\n"
            + lift_command(
                "cutout", f"runs/{Path(label.name).stem}", _as_it_is(recipe.clip, run), recipe.settings
            )
        )


def _as_it_is(clip: Any, run: Run) -> Any:
    from ar4d.clip import ClipSettings

    facts = run.clip
    return ClipSettings(num_frames=facts.num_frames, framing="keep", background="alpha", fps=facts.fps)


def link(address: str, share: str | None) -> str:
    return f"{address.rstrip('/')}/share/{share}" if share else ""


def _count(run: Run) -> str:
    from ar4d.gaussians import Gaussians

    path = run.frame_path(0)
    return f"{len(Gaussians.load(path)):,}" if path.exists() else "–"


def _megabytes(folder: Path) -> float:
    names = [
        "stage1.safetensors",
        "refined.safetensors",
        *(f"frames/{p.name}" for p in folder.glob("frames/*")),
    ]
    return sum((folder / name).stat().st_size for name in names if (folder / name).exists()) / 1e6
