"""Step 3: the settings, the estimate, and the run while it works."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.page import charts, html, thumbnails
from app.page.settings_form import SettingsForm, leaves
from app.runs.queue import Job
from app.service import Service
from ar4d.engines.registry import engine_of
from ar4d.presets import Preset, default_for, known
from ar4d.settings import Settings

REFRESH_SECONDS = 0.5  # between two snapshots of a run
SWITCHES = {
    "initialize.finetune": ("Fine-tuning", "of the first frame"),
    "generate.autoregressive": ("Autoregression", "each frame from the last"),
    "generate.progressive_views": ("Pseudo-views", "hold the unseen sides"),
    "refine.enabled": ("Refinement", "one field for all frames"),
}
BLANK = html.figures([("Input", None), ("Render", None)])


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment: what the page shows, and whether the run is still alive."""

    alive: bool
    values: tuple[Any, ...]
    """The values of `GenerateStep.shown`."""


class GenerateStep:
    """The components of step 3: `shown` follows a run; `form` and `preset` hold the settings."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._snapshots: dict[Path, tuple[float, Snapshot]] = {}
        self._snapshot_lock = threading.Lock()
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
        with gr.Accordion("Repeat a part of this run", open=False):
            gr.HTML(
                '<p class="hint">Makes a new run with the settings above and reuses the earlier frames.</p>'
            )
            self.first_frame = gr.Slider(1, 2, 1, step=1, label="From frame", interactive=False)
            with gr.Row(elem_classes="tight"):
                self.rerun = gr.Button("Re-run from this frame", interactive=False)
                self.refine = gr.Button("Only the refinement", interactive=False)

    def _build_settings(self) -> None:
        usual = default_for(self.service.device).settings
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
        form.field(
            "facing", "Facing", "which way the object faces in the first frame; right is the picture's right"
        )
        with gr.Accordion("Advanced: all settings", open=False, elem_id="advanced"), gr.Tabs():
            for group, label in self._groups():
                with gr.Tab(label), gr.Row(elem_classes="grid"):
                    form.rest(group)
        for component, value in zip(form.components, form.updates(usual), strict=True):
            component.value = value

    @staticmethod
    def _groups() -> list[tuple[str, str]]:
        """The groups of the settings with their titles; a group of a stage has the stage's title."""
        settings = Settings()
        titles = {stage.name: stage.title for stage in engine_of(settings).plan(settings, num_frames=2)}
        groups = dict.fromkeys(key.split(".")[0] for key in leaves() if "." in key)
        return [*((name, titles.get(name, name.capitalize())) for name in groups), ("", "General")]

    @property
    def shown(self) -> list[Any]:
        """The components that a `Snapshot` fills."""
        return [self.panel, self.pictures, self.curves, self.log, self.cancel, self.resume, self.result]

    @property
    def parts(self) -> list[Any]:
        """The components that `parts_of` fills: those that repeat a part of a run."""
        return [self.first_frame, self.rerun, self.refine]

    def settings(self, preset: str, values: list[Any]) -> Settings:
        """The settings that the form shows.

        Raises:
            UserError: a value does not fit.
        """
        return self.form.read(preset, values)

    def settings_of(self, job: Job | None) -> list[Any]:
        """The preset and the form with the settings of a run."""
        if job is None or not isinstance(job.settings, Settings):
            return [gr.skip()] * (1 + len(self.form.components))
        settings = job.settings
        preset = settings.preset if settings.preset in _presets() else next(iter(_presets()))
        return [preset, *self.form.updates(settings)]

    def guess(self, num_frames: int, preset: str, values: list[Any]) -> str:
        """The estimate for the settings of the form, as HTML."""
        import psutil

        estimated = self.service.estimate(self.settings(preset, values), num_frames)
        return html.estimate(estimated, psutil.virtual_memory().available, preset, num_frames)

    def parts_of(self, job: Job | None) -> list[Any]:
        """The components of `parts`, for a run that may be made again from one of its frames."""
        done = 0 if job is None or job.alive else job.progress.frames_done
        if job is None or done == 0:
            return [gr.Slider(interactive=False), gr.Button(interactive=False), gr.Button(interactive=False)]
        total = job.progress.num_frames
        return [
            gr.Slider(minimum=1, maximum=max(min(done + 1, total), 2), value=1, interactive=total > 1),
            gr.Button(interactive=True),
            gr.Button(interactive=done == total and total > 1),
        ]

    # --- following a run ------------------------------------------------------------------------

    def snapshot(self, run: Path) -> Snapshot:
        """A recent snapshot of a run, which all its visitors share."""
        with self._snapshot_lock:
            at, snapshot = self._snapshots.get(run, (0.0, None))
            if snapshot is None or time.monotonic() > at + REFRESH_SECONDS / 2:
                snapshot = self._draw(run)
                self._snapshots = {run: old for run, old in self._snapshots.items() if old[1].alive}
                self._snapshots[run] = time.monotonic(), snapshot
        return snapshot

    def _draw(self, run: Path) -> Snapshot:
        job = self.service.jobs.get(run)
        with job.lock:
            state = job.state  # read once, so that all parts of the snapshot agree
            alive = state in ("queued", "running")
            expected = self._expected(job)
            position, seconds = 0, None
            if state == "queued":
                position, seconds = self.service.jobs.position(job), self.service.jobs.seconds_until(job)
            elif state == "running":
                seconds = self.service.jobs.seconds_left(job)
            panel = html.panel(job, state, position, seconds, expected)
            curves, log = charts.curves(job.progress), html.log(job.progress)
            frame = job.progress.order[max(job.progress.frames_done - 1, 0)]
            psnr = job.progress.psnr.get(frame)
        quality = f" · {psnr:.1f} dB" if psnr is not None else ""
        picture = thumbnails.asset_picture if state == "finished" else thumbnails.frame_picture
        pair = html.figures(
            [
                (f"Frame {frame + 1}", thumbnails.input_picture(run, frame)),
                (f"Render{quality}", picture(job.run, frame)),
            ]
        )
        buttons = (alive, state in ("stopped", "failed"), state == "finished")
        return Snapshot(alive, (panel, pair, curves, log, *buttons))

    async def follow(self, run: Path, is_current: Callable[[], bool]) -> AsyncGenerator[list[Any], None]:
        """Yields changes of `shown` until the run ends or another follower replaces this one."""
        before: tuple[Any, ...] = (None,) * len(self.shown)
        while is_current():
            snapshot = await asyncio.to_thread(self.snapshot, run)
            if snapshot.values != before:
                yield [
                    gr.skip() if new == old else gr.Button(interactive=new) if isinstance(new, bool) else new
                    for new, old in zip(snapshot.values, before, strict=True)
                ]
                before = snapshot.values
            if not snapshot.alive:
                return
            await asyncio.sleep(REFRESH_SECONDS)

    def _expected(self, job: Job) -> dict[str, float]:
        return self.service.estimate(job.settings, job.progress.num_frames).seconds


def _presets() -> dict[str, Preset]:
    """The presets that the form can show: AR4D's own, and those of other packages for it."""
    return {name: preset for name, preset in known().items() if isinstance(preset.settings, Settings)}
