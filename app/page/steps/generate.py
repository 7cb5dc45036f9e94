"""Step 3: the settings, how long they will take, and the run while it works."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.page import charts
from app.page import html as fragments
from app.page import thumbnails as pictures
from app.page.settings_form import SettingsForm
from app.runs.queue import Job
from app.service import Studio
from ar4d.presets import Preset, default_for, known
from ar4d.settings import Settings

GROUPS = {"initialize": "First frame", "generate": "Motion", "refine": "Refinement"}
LOOK_SECONDS = 0.5  # between two looks at a run
SWITCHES = {
    "initialize.finetune": ("Fine-tuning", "of the first frame"),
    "generate.autoregressive": ("Autoregression", "each frame from the last"),
    "generate.progressive_views": ("Pseudo-views", "hold the unseen sides"),
    "refine.enabled": ("Refinement", "one field for all frames"),
}
BLANK = fragments.pictures([("Input", None), ("Render", None)])


@dataclass(frozen=True)
class Look:
    """A run as it was at one moment; the page shows it and decides by it whether to look again."""

    alive: bool
    values: tuple[Any, ...]  # of GenerateStep.shown


class GenerateStep:
    """Attributes: `shown` follows a run, `form` and `preset` are its settings."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._looks: dict[Path, tuple[float, Look]] = {}
        self._looking = threading.Lock()
        with gr.Column(visible=False) as self.progress:
            self.panel = gr.HTML("", elem_id="panel")
            self.pictures = gr.HTML(BLANK, elem_id="pictures")
            with gr.Row(elem_classes="tight"):
                self.cancel = gr.Button("Cancel", interactive=False, min_width=90)
                self.resume = gr.Button("Resume", interactive=False, min_width=90)
                self.result = gr.Button("Result", interactive=False, min_width=90)
            with gr.Accordion("Curves and log", open=False):
                self.curves = gr.HTML("", elem_id="curves")
                self.log = gr.HTML("", elem_id="log")
        with gr.Accordion("Settings", open=True) as self.settings_box:
            self._build_settings()
        self.estimate = gr.HTML("", elem_id="estimate")
        self.start = gr.Button("Generate", variant="primary", interactive=False, elem_id="generate")
        with gr.Accordion("Make a part of this run anew", open=False):
            gr.HTML('<p class="hint">A new run with the settings above; earlier frames are taken over.</p>')
            self.first_frame = gr.Slider(1, 2, 1, step=1, label="From frame", interactive=False)
            with gr.Row(elem_classes="tight"):
                self.rerun = gr.Button("Re-run from this frame", interactive=False)
                self.refine = gr.Button("Only the refinement", interactive=False)

    def _build_settings(self) -> None:
        usual = default_for(self.studio.device).settings
        presets = [(preset.label, name) for name, preset in _presets().items()]
        self.preset = gr.Dropdown(presets, value=usual.preset, label="Preset")
        self.form = form = SettingsForm()
        with gr.Row(elem_classes="tight switches"):
            for key, (label, info) in SWITCHES.items():
                form.field(key, label, info, min_width=150)
        with gr.Row(elem_classes="tight seed", equal_height=True):
            form.field("seed", "Seed", "", min_width=90)
            self.dice = gr.Button("Dice", size="sm", min_width=50, elem_id="dice")
            form.field("size", "Size", "", min_width=90)
            form.field("elevation_deg", "Elevation", "", min_width=90)
        form.field("facing", "Facing", "where the object looks at first; right is the picture's right")
        with gr.Accordion("Advanced: all settings", open=False, elem_id="advanced"), gr.Tabs():
            for group, label in (*GROUPS.items(), ("", "General")):
                with gr.Tab(label), gr.Row(elem_classes="grid"):
                    form.rest(group)
        for component, value in zip(form.components, form.updates(usual), strict=True):
            component.value = value

    @property
    def shown(self) -> list[Any]:
        """What a `Look` fills."""
        return [self.panel, self.pictures, self.curves, self.log, self.cancel, self.resume, self.result]

    @property
    def parts(self) -> list[Any]:
        """What `parts_of` fills: what may be made anew."""
        return [self.first_frame, self.rerun, self.refine]

    def settings(self, preset: str, values: list[Any]) -> Settings:
        return self.form.read(preset, values)

    def settings_of(self, run: Path | None) -> list[Any]:
        """The preset and the form as a run was made with."""
        if run is None:
            return [gr.skip()] * (1 + len(self.form.components))
        settings = self.studio.jobs.get(run).settings
        preset = settings.preset if settings.preset in _presets() else next(iter(_presets()))
        return [preset, *self.form.updates(settings)]

    def guess(self, num_frames: int, preset: str, values: list[Any]) -> str:
        """The estimate for what the form shows."""
        import psutil

        estimated = self.studio.estimate(self.settings(preset, values), num_frames)
        return fragments.estimate(estimated, psutil.virtual_memory().available, preset, num_frames)

    def parts_of(self, run: Path | None) -> list[Any]:
        done = 0
        if run is not None:
            job = self.studio.jobs.get(run)
            done = 0 if job.alive else job.progress.frames_done
        if run is None or done == 0:
            return [gr.Slider(interactive=False), gr.Button(interactive=False), gr.Button(interactive=False)]
        total = job.progress.num_frames
        return [
            gr.Slider(minimum=1, maximum=max(min(done + 1, total), 2), value=1, interactive=total > 1),
            gr.Button(interactive=True),
            gr.Button(interactive=done == total and total > 1),
        ]

    # --- following a run ------------------------------------------------------------------------

    def look(self, run: Path) -> Look:
        """A run as it is, or was a moment ago: all who watch it share what is drawn for one."""
        with self._looking:
            at, look = self._looks.get(run, (0.0, None))
            if look is None or time.monotonic() > at + LOOK_SECONDS / 2:
                look = self._look(run)
                self._looks = {run: old for run, old in self._looks.items() if old[1].alive}
                self._looks[run] = time.monotonic(), look
        return look

    def _look(self, run: Path) -> Look:
        job = self.studio.jobs.get(run)
        with job.lock:
            state = job.state  # read once: what is shown and whether to go on must agree
            alive = state in ("queued", "running")
            expected = self._expected(job)
            position, seconds = 0, None
            if state == "queued":
                position, seconds = self.studio.jobs.position(job), self.studio.jobs.seconds_until(job)
            elif state == "running":
                seconds = self.studio.jobs.seconds_left(job)
            panel = fragments.panel(job, state, position, seconds, expected)
            curves, log = charts.curves(job.progress), fragments.log(job.progress)
            frame = max(job.progress.frames_done - 1, 0)
            psnr = job.progress.psnr.get(frame)
        kind = "refined" if state == "finished" else "generated"
        quality = f" · {psnr:.1f} dB" if psnr is not None else ""
        pair = fragments.pictures(
            [
                (f"Frame {frame + 1}", pictures.picture_if_made(run, "input", frame)),
                (f"Render{quality}", pictures.picture_if_made(run, kind, frame)),
            ]
        )
        buttons = (alive, state in ("stopped", "failed"), state == "finished")
        return Look(alive, (panel, pair, curves, log, *buttons))

    async def follow(self, run: Path, wanted: Callable[[], bool]) -> AsyncGenerator[list[Any], None]:
        """Yields what has changed on the page, until the run rests or nobody wants to see it."""
        before: tuple[Any, ...] = (None,) * len(self.shown)
        while wanted():
            look = await asyncio.to_thread(self.look, run)
            if look.values != before:
                yield [
                    gr.skip() if new == old else gr.Button(interactive=new) if isinstance(new, bool) else new
                    for new, old in zip(look.values, before, strict=True)
                ]
                before = look.values
            if not look.alive:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _expected(self, job: Job) -> dict[str, float]:
        return self.studio.estimate(job.settings, job.progress.num_frames).seconds


def _presets() -> dict[str, Preset]:
    """Those that the form can show: AR4D's own and other packages' for it."""
    return {name: preset for name, preset in known().items() if isinstance(preset.settings, Settings)}
