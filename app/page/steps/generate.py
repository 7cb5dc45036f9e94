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
from app.page.settings_form import EngineForms, SettingsForm
from app.page.steps.facing import FacingChoice
from app.runs.queue import Job, State
from app.service import Service
from ar4d.engines.registry import engine_of
from ar4d.presets import default_for, known
from ar4d.settings import EngineSettings, Settings

PREVIEW_STEPS = 50  # of a refinement, after which another frame of it is shown
REFRESH_SECONDS = 0.5  # between two snapshots of a run
SWITCHES = {
    "initialize.finetune": ("Fine-tuning", "of the first frame"),
    "generate.autoregressive": ("Autoregression", "each frame from the last"),
    "generate.progressive_views": ("Pseudo-views", "hold the unseen sides"),
    "refine.enabled": ("Refinement", "one field for all frames"),
}
QUALITIES = {
    "cpu": {"Draft": "cpu-draft", "Normal": "cpu", "Fine": "cpu-fine"},
    "cuda": {"Draft": "cpu", "Normal": "fast", "Fine": "quality"},
}
BLANK = html.figures([("Input", None), ("Render", None)])


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment: what the page shows, and whether the run is still alive."""

    alive: bool
    values: tuple[str, ...]
    """The values of the first components of `GenerateStep.shown`."""
    state: State


@dataclass(frozen=True)
class Buttons:
    """Which buttons a run's state offers; the primary one is what comes next."""

    start: str
    """The label of the button that starts a run; empty while there is none to start."""
    primary: str
    """The name of the primary button."""
    names: tuple[str, ...]
    """Those that are shown beside `start`."""

    @staticmethod
    def for_state(state: State | None, new_clip: bool = False) -> Buttons:
        """The buttons of a state.

        Args:
            state: the run's; None if there is no run.
            new_clip: a clip was chosen that the run is not of.
        """
        if state in ("queued", "running"):
            return Buttons("Queue this clip as well" if new_clip else "", "cancel", ("cancel",))
        if state is None or new_clip:
            return Buttons("Generate", "start", ("result",) if state == "finished" else ())
        if state == "finished":
            return Buttons("Generate again", "result", ("result",))
        return Buttons("Start from the beginning", "resume", ("resume",))

    def updates(self, ready: bool) -> list[Any]:
        """The values of `GenerateStep.buttons`.

        Args:
            ready: there is a cut-out that a run can be made of.
        """
        start = {"value": self.start or "Generate", "visible": bool(self.start), "interactive": ready}
        others = [
            gr.Button(visible=name in self.names, variant=self._variant(name))
            for name in ("cancel", "resume", "result")
        ]
        return [gr.Button(**start, variant=self._variant("start")), *others]

    def _variant(self, name: str) -> Any:
        return "primary" if name == self.primary else "secondary"


class GenerateStep:
    """The components of step 3: `shown` follows a run; `form` and `preset` hold the settings."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._snapshots: dict[Path, tuple[float, Snapshot]] = {}
        self._snapshot_lock = threading.Lock()
        with gr.Column(visible=False) as self.progress:
            self.panel = gr.HTML("", elem_id="panel")
            self.pictures = gr.HTML(BLANK, elem_id="pictures")
            with gr.Accordion("Curves and log", open=False):
                self.curves = gr.HTML("", elem_id="curves")
                self.log = gr.HTML("", elem_id="log")
        with gr.Accordion("Settings", open=True) as self.settings_box:
            self._build_settings()
        self.estimate = gr.HTML("", elem_id="estimate")
        with gr.Row(elem_classes="tight next"):
            self.start = gr.Button("Generate", variant="primary", interactive=False, elem_id="generate")
            self.cancel = gr.Button("Cancel", visible=False, elem_id="cancel-run")
            self.resume = gr.Button("Resume", visible=False, elem_id="resume-run")
            self.result = gr.Button("See the result", visible=False, elem_id="see-result")
        with gr.Column(visible=False, elem_id="same-run") as self.question:
            gr.HTML(
                '<p class="notice warning" role="alert">The same clip was lifted with the same settings '
                "already: a second run gives the same result.</p>"
            )
            with gr.Row(elem_classes="tight"):
                self.start_anyway = gr.Button("Start it again", min_width=120)
                self.open_same = gr.Button("Open the one there is", variant="primary", min_width=120)
        with gr.Accordion("Repeat a part of this run", open=False, visible=False) as self.repeat:
            gr.HTML(
                '<p class="hint">Makes a new run with the settings above and reuses the earlier frames.</p>'
            )
            self.first_frame = gr.Slider(1, 2, 1, step=1, label="From frame", interactive=False)
            with gr.Row(elem_classes="tight"):
                self.rerun = gr.Button("Re-run from this frame", interactive=False)
                self.refine = gr.Button("Only the refinement", interactive=False)

    def _build_settings(self) -> None:
        usual = default_for(self.service.device).settings
        self.quality = gr.Radio(
            [(label, name) for label, name in self._qualities().items()],
            value=usual.preset,
            label="Quality",
            info="more steps and Gaussians take longer; the estimate below follows",
        )
        self.facing = FacingChoice("facing")
        self.forms = EngineForms()
        self.form = form = self.forms.own
        with gr.Accordion(
            "Research: seed, parts of the method, all settings", open=False, elem_id="advanced"
        ):
            presets = [(preset.label, name) for name, preset in known().items()]
            self.preset = gr.Dropdown(
                presets, value=usual.preset, label="Preset", info="a named set of all settings"
            )
            with gr.Column() as self.forms.columns["ar4d"]:
                with gr.Row(elem_classes="tight switches"):
                    for key, (label, info) in SWITCHES.items():
                        form.field(key, label, info, min_width=150)
                with gr.Row(elem_classes="tight seed", equal_height=True):
                    form.field("seed", "Seed", "same seed, same result", min_width=110)
                    self.dice = gr.Button("Dice", size="sm", min_width=50, elem_id="dice")
                with gr.Row(elem_classes="tight"):
                    form.field("size", "Size", "pixels of a clip's side", min_width=110)
                    form.field("elevation_deg", "Elevation", "degrees; positive: camera above", min_width=110)
                form.field("facing", "Facing", "what the arrows above set; right is the picture's right")
                with gr.Tabs():
                    for group, label in self._groups():
                        with gr.Tab(label), gr.Row(elem_classes="grid"):
                            form.rest(group)
            self.forms.add_others()
        for component, value in zip(form.components, form.updates(usual), strict=True):
            component.value = value

    def _qualities(self) -> dict[str, str]:
        """The presets to choose from first, by their labels."""
        return QUALITIES["cuda" if self.service.device == "cuda" else "cpu"]

    def quality_of(self, preset: str) -> str | None:
        """The value of `quality` for a preset; None for one that is only under Research."""
        return preset if preset in self._qualities().values() else None

    @staticmethod
    def _groups() -> list[tuple[str, str]]:
        """The groups of the settings with their titles; a group of a stage has the stage's title."""
        settings = Settings()
        titles = {stage.name: stage.title for stage in engine_of(settings).plan(settings, num_frames=2)}
        names = SettingsForm(Settings).groups()
        return [(name, titles.get(name, name.capitalize()) if name else "General") for name in names]

    @property
    def buttons(self) -> list[Any]:
        """The components that `Buttons.updates` fills."""
        return [self.start, self.cancel, self.resume, self.result]

    @property
    def shown(self) -> list[Any]:
        """The components that a `Snapshot` fills."""
        return [self.panel, self.pictures, self.curves, self.log, *self.buttons]

    @property
    def parts(self) -> list[Any]:
        """The components that `parts_of` fills: those that repeat a part of a run."""
        return [self.repeat, self.first_frame, self.rerun, self.refine]

    def settings(self, preset: str, values: list[Any]) -> Any:
        """The settings that the form shows.

        Raises:
            UserError: a value does not fit.
        """
        return self.forms.read(preset, values)

    def settings_of(self, job: Job | None) -> list[Any]:
        """The quality, the preset and the form with the settings of a run."""
        if job is None:
            return [gr.skip()] * (2 + len(self.chosen))
        settings = job.settings
        alike = [name for name, other in known().items() if other.settings.engine == settings.engine]
        if not alike:  # a package that is not installed any more
            return [gr.skip()] * (2 + len(self.chosen))
        preset = settings.preset if settings.preset in alike else alike[0]
        return [self.quality_of(preset), preset, *self.values_of(settings)]

    @property
    def chosen(self) -> list[Any]:
        """The components that `values_of` fills: all forms, and the columns that hold them."""
        return [*self.forms.components, *self.forms.columns.values()]

    def values_of(self, settings: EngineSettings) -> list[Any]:
        """The forms with other settings; the one of their engine is shown."""
        return [*self.forms.updates(settings), *self.forms.visible(settings.engine)]

    def guess(self, num_frames: int, preset: str, values: list[Any]) -> str:
        """The estimate for the settings of the form, as HTML."""
        import psutil

        estimated = self.service.estimate(self.settings(preset, values), num_frames)
        return html.estimate(estimated, psutil.virtual_memory().available, preset, num_frames)

    def parts_of(self, job: Job | None) -> list[Any]:
        """The components of `parts`, for a run that may be made again from one of its frames."""
        done = 0 if job is None or job.alive else job.progress.frames_done
        if job is None or done == 0:
            off = [gr.Slider(interactive=False), gr.Button(interactive=False), gr.Button(interactive=False)]
            return [gr.Accordion(visible=False), *off]
        total = job.progress.num_frames
        return [
            gr.Accordion(visible=True),
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
            refining, imagined = job.run.preview_path.exists(), job.run.imagined_path.exists()
            if refining:  # another frame each time, so that the whole clip is seen
                frame = job.progress.step // PREVIEW_STEPS % max(job.progress.num_frames, 1)
            psnr = None if refining else job.progress.psnr.get(frame)
        which = "Last finished: frame" if alive and not (refining or imagined) else "Frame"
        quality = f" · {psnr:.1f} dB" if psnr is not None else ""
        picture = thumbnails.asset_picture if state == "finished" else thumbnails.frame_picture
        picture = thumbnails.preview_picture if refining else picture
        if imagined:
            quality, picture = ", not fitted yet", thumbnails.imagined_picture
        pair = html.figures(
            [
                (f"{which} {frame + 1}", thumbnails.input_picture(run, frame)),
                (f"Render{quality}", picture(job.run, frame)),
            ]
        )
        return Snapshot(alive, (panel, pair, curves, log), state)

    async def follow(self, run: Path, is_current: Callable[[], bool]) -> AsyncGenerator[list[Any], None]:
        """Yields changes of `shown` until the run ends or another follower replaces this one."""
        before, state = ("",) * (len(self.shown) - len(self.buttons)), None
        while is_current():
            snapshot = await asyncio.to_thread(self.snapshot, run)
            new_state = snapshot.state != state
            if snapshot.values != before or new_state:
                changes = [
                    gr.skip() if new == old else new for new, old in zip(snapshot.values, before, strict=True)
                ]
                ready = Buttons.for_state(snapshot.state).updates(True)
                yield [*changes, *(ready if new_state else [gr.skip()] * len(ready))]
                before, state = snapshot.values, snapshot.state
            if not snapshot.alive:
                return
            await asyncio.sleep(REFRESH_SECONDS)

    def _expected(self, job: Job) -> dict[str, float]:
        return self.service.estimate(job.settings, job.progress.num_frames).seconds
