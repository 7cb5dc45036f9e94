"""The page: its layout, and what happens when something is pressed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Generator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import api
from app.page import html as fragments
from app.page.session import Here, browser_state, sentence, spoken
from app.page.steps import gallery
from app.page.steps.cutout import CutoutStep
from app.page.steps.generate import GenerateStep
from app.page.steps.result import ResultStep, link
from app.page.steps.source import SourceStep
from app.runs.drafts import Facts
from app.runs.worker import TaskFailed, WorkerDied
from app.service import Studio
from ar4d.errors import UserError
from ar4d.presets import find

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
BUSY: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
HEADER = """<header><svg viewBox="0 0 32 32" aria-hidden="true"><ellipse cx="16" cy="16" rx="14" ry="5.5"
transform="rotate(-24 16 16)"/><circle cx="16" cy="16" r="6"/><circle cx="28" cy="10.500" r="2.6"/></svg>
<h1>AR4D</h1><p>A video goes in, an animated set of 3D Gaussians comes out.</p>
<button type="button" onclick="ar4dToggleTheme()" title="Light or dark" aria-label="Light or dark">◐</button>
</header>"""
RUN_PRESSED = """element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-run]");
    if (button) trigger("select", { run: button.dataset.run, action: button.dataset.do });
});"""

# Pressed, and not yet queued: a busy server takes a moment.
STARTING = "() => document.querySelector('#generate').classList.add('busy')"
STARTED = "() => document.querySelector('#generate').classList.remove('busy')"


class Page:
    """The Gradio page of one studio, in `demo`."""

    def __init__(self, studio: Studio, example: str | None) -> None:
        """
        Args:
            example: path of the viewer that shows what the program can do, or None if there is none.
        """
        self.studio, self.example = studio, example
        self._following: dict[str, object] = {}  # by session: the newest of its tails
        with gr.Blocks(title="AR4D", fill_width=True) as self.demo:
            self.here = browser_state()
            gr.HTML(HEADER, elem_id="header")
            with gr.Row(elem_id="main"):
                with gr.Column(elem_id="steps", min_width=320), gr.Tabs(elem_id="tabs") as self.tabs:
                    with gr.Tab("1 Input", id="input"):
                        self.source = SourceStep(studio)
                    with gr.Tab("2 Cut-out", id="cutout"):
                        self.cutout = CutoutStep(studio)
                    with gr.Tab("3 Generate", id="generate"):
                        self.generate = GenerateStep(studio)
                    with gr.Tab("4 Result", id="result"):
                        self.result = ResultStep(studio)
                    with gr.Tab("Runs", id="runs") as self.runs_tab:
                        self.runs = gr.HTML(gallery.EMPTY, elem_id="runs", js_on_load=RUN_PRESSED)
                with gr.Column(elem_id="stage", min_width=320):
                    self.viewer = gr.HTML(_frame(example), elem_id="viewer")
            self._wire()
            api.add(studio)
        self.demo.queue(default_concurrency_limit=None)

    # --- wiring ---------------------------------------------------------------------------------

    def _wire(self) -> None:
        step, cut, result = self.generate, self.cutout, self.result
        self._opened = [
            self.here, self.tabs, self.viewer, step.progress, step.settings_box, *step.parts, *result.shown,
        ]  # fmt: skip
        self._cut = [*cut.shown, *cut.controls, step.start]
        self._form = [step.preset, *step.form.components]
        self._estimates = [step.estimate, cut.estimate]
        self._reopened = [*self._opened, *self._form]
        arrived = self.demo.load(self._arrive, [self.here], [*self._reopened, *self._cut], **PRIVATE)
        for event in (self._tail(), self._guess(), self._stages()):
            arrived.then(**event)
        self.demo.unload(self._leave)
        self._wire_source()
        self._wire_cutout()
        self._wire_settings()
        self._wire_runs()
        result.frame.input(trigger_mode="always_last", **self._stages())
        result.export.click(self._export, [self.here, result.format], result.download, **BUSY)
        result.share.input(self._share, [self.here, result.share], [result.link, self.viewer], **PRIVATE)

    def _wire_source(self) -> None:
        source = self.source
        taken = [self.here, self.tabs, self.cutout.view, self.cutout.notices, self.cutout.proceed]
        for event in (source.video.upload, source.video.stop_recording):
            self._then_cut(event(self._take_file, [self.here, source.video], taken, **PRIVATE))
        self._then_cut(
            source.animation.upload(self._take_file, [self.here, source.animation], taken, **PRIVATE)
        )
        self._then_cut(source.examples.select(self._take_example, [self.here], taken, **PRIVATE))
        filmed = source.film.click(self._film, [self.here, *source.wish], [*taken, source.filming], **PRIVATE)
        self._then_cut(filmed)
        source.cancel.click(self._stop_filming, [self.here], None, **PRIVATE)

    def _then_cut(self, taken: Any) -> None:
        size = self.generate.form["size"]
        taken.success(self._cut_new, [self.here, size], self._cut, **PRIVATE).then(**self._guess())

    def _wire_cutout(self) -> None:
        cut, size = self.cutout, self.generate.form["size"]
        values = [self.here, size, *cut.controls]
        controls = [cut.start.release, cut.end.release, cut.num_frames.release, cut.threshold.release]
        controls += [cut.largest.input, cut.background.input, cut.framing.input]
        outputs = [*cut.shown, self.generate.start]
        busy = {"trigger_mode": "always_last", "show_progress": "minimal", "show_progress_on": cut.view}
        private = {"api_visibility": "private", **busy}
        gr.on(controls, self._recut, values, outputs, **private).then(**self._guess())
        cut.view.select(self._cut_in_box, values, outputs, **private)
        cut.proceed.click(lambda: gr.Tabs(selected="generate"), None, self.tabs, **PRIVATE)

    def _wire_settings(self) -> None:
        step = self.generate
        step.preset.input(self._preset, [step.preset], step.form.components, **PRIVATE).then(**self._guess())
        gr.on([c.input for c in step.form.components], trigger_mode="always_last", **self._guess())
        step.dice.click(lambda: random.randrange(2**31), None, step.form["seed"], **PRIVATE)
        step.start.click(None, js=STARTING)
        begin = step.start.click(self._start, [self.here, *self._form], self._opened, **BUSY)
        begin.then(None, js=STARTED)
        begin.success(**self._tail())
        step.cancel.click(self._cancel, [self.here], None, **PRIVATE)
        step.resume.click(self._resume, [self.here], None, **PRIVATE).success(**self._tail())
        step.result.click(lambda: gr.Tabs(selected="result"), None, self.tabs, **PRIVATE)
        again = [self.here, step.first_frame, *self._form]
        step.rerun.click(self._rerun, again, self._opened, **BUSY).success(**self._tail())
        step.refine.click(self._refine, [self.here, *self._form], self._opened, **BUSY).success(
            **self._tail()
        )

    def _wire_runs(self) -> None:
        self.runs_tab.select(self._runs, [self.here], self.runs, **PRIVATE)
        acted = self.runs.select(self._act, [self.here], [*self._reopened, self.runs], **PRIVATE)
        acted.success(**self._tail())
        acted.success(**self._stages())

    def _tail(self) -> dict[str, Any]:
        """The event that shows how the visitor's run goes, for as long as it does."""
        outputs = [*self.generate.shown, *self.generate.parts, *self.result.shown]
        return {"fn": self._follow, "inputs": [self.here], "outputs": outputs, **PRIVATE}

    def _stages(self) -> dict[str, Any]:
        """The event that draws a frame's stages: apart, since it takes a moment."""
        inputs = [self.here, self.result.frame]
        return {"fn": self._compare, "inputs": inputs, "outputs": self.result.stages, **PRIVATE}

    def _guess(self) -> dict[str, Any]:
        inputs = [self.here, self.cutout.num_frames, *self._form]
        return {"fn": self._estimate, "inputs": inputs, "outputs": self._estimates, **PRIVATE}

    # --- coming and going -----------------------------------------------------------------------

    @spoken
    def _arrive(self, kept: Any, request: gr.Request) -> list[Any]:
        """A page is opened or loaded again: the visitor finds what he left."""
        here = Here.of(kept)
        run = self._found(self.studio.storage.run, here.visitor, here.run)
        draft = self._found(self.studio.storage.draft, here.visitor, here.draft)
        facts = self._found(Facts.read, draft) if draft else None
        here = here.at(run=run and run.name, draft=draft and draft.name)
        tab = "cutout" if facts else "input"
        if run is not None:
            tab = "result" if self.studio.jobs.get(run).state == "finished" else "generate"
        controls = self.cutout.settings_of(facts) if facts else [gr.skip()] * len(self.cutout.controls)
        ready = gr.Button(interactive=facts is not None)
        cut = [*self.cutout.show(draft, facts), *controls, ready]
        return [*self._open(here, run, tab, request), *self.generate.settings_of(run), *cut]

    @staticmethod
    def _found(find: Any, *arguments: Any) -> Any:
        """What `find` returns, or None where it says that there is no such thing (any more)."""
        try:
            return find(*arguments)
        except UserError:
            return None

    def _leave(self, request: gr.Request) -> None:
        self._following.pop(request.session_hash or "", None)

    def _open(self, here: Here, run: Path | None, tab: str, request: gr.Request) -> list[Any]:
        """Shows a run: what `self._opened` gets."""
        frame: Any = gr.skip()
        if run is not None:
            frame = _frame(self.studio.viewer_path(run))
        boxes = [gr.Column(visible=run is not None), gr.Accordion(open=run is None)]
        results = self.result.show(run, _address(request))
        return [here.kept(), gr.Tabs(selected=tab), frame, *boxes, *self.generate.parts_of(run), *results]

    async def _follow(self, kept: Any, request: gr.Request) -> AsyncGenerator[list[Any], None]:
        here, session, mine = Here.of(kept), request.session_hash or "", object()
        self._following[session] = mine
        rest = len(self.generate.parts) + len(self.result.shown)
        try:
            if here.run is None:
                yield [gr.skip()] * (len(self.generate.shown) + rest)
                return
            run = self.studio.storage.run(here.visitor, here.run)
            was_alive = self.studio.jobs.get(run).alive
            wanted = lambda: self._following.get(session) is mine  # noqa: E731
            async for values in self.generate.follow(run, wanted):
                yield [*values, *[gr.skip()] * rest]
            if was_alive and wanted():
                results = await asyncio.to_thread(self.result.show, run, _address(request), True)
                yield [*[gr.skip()] * len(self.generate.shown), *self.generate.parts_of(run), *results]
        except UserError as error:
            raise sentence(error) from error

    # --- the steps ------------------------------------------------------------------------------

    @spoken
    def _take_file(self, kept: Any, path: str | None) -> list[Any]:
        here = Here.of(kept)
        return self._taken(here, self.source.from_file(here.visitor, path))

    @spoken
    def _take_example(self, kept: Any, event: gr.EventData) -> list[Any]:
        here = Here.of(kept)
        return self._taken(here, self.source.from_example(here.visitor, str(event._data.get("name"))))

    def _film(self, kept: Any, *wish: Any) -> Generator[list[Any], None, None]:
        """A clip is made of a prompt; the page sees how far it is, then the draft."""
        here = Here.of(kept)
        try:
            for progress, draft in self.source.from_prompt(here.visitor, *wish):
                yield [*(self._taken(here, draft) if draft else [gr.skip()] * 5), progress]
        except (UserError, WorkerDied, TaskFailed) as error:
            raise sentence(error) from error

    @spoken
    def _stop_filming(self, kept: Any) -> None:
        self.source.imagining.cancel(Here.of(kept).visitor)

    def _taken(self, here: Here, draft: Path) -> list[Any]:
        working = '<div class="cutout-empty busy"><p>Looking for the subject …</p></div>'
        kept = here.at(draft=draft.name).kept()
        return [kept, gr.Tabs(selected="cutout"), working, "", gr.Button(interactive=False)]

    def _cut_new(self, kept: Any, size: float) -> list[Any]:
        shown, facts = self._cut_out(kept, size, None, None)
        controls = self.cutout.settings_of(facts) if facts else [gr.skip()] * len(self.cutout.controls)
        return [*shown, *controls, gr.Button(interactive=facts is not None)]

    def _recut(self, kept: Any, size: float, *values: Any) -> list[Any]:
        here = Here.of(kept)
        draft = self._found(self.studio.storage.draft, here.visitor, here.draft)
        old = self._found(Facts.read, draft) if draft else None
        shown, facts = self._cut_out(kept, size, old and old.box, list(values))
        return [*shown, gr.Button(interactive=facts is not None)]

    def _cut_in_box(self, event: gr.EventData, kept: Any, size: float, *values: Any) -> list[Any]:
        drawn = event._data.get("box")  # none: it was removed
        box = drawn and tuple(min(max(float(x), 0.0), 1.0) for x in drawn)
        shown, facts = self._cut_out(kept, size, box, list(values))
        return [*shown, gr.Button(interactive=facts is not None)]

    def _cut_out(
        self, kept: Any, size: float, box: Any, values: list[Any] | None
    ) -> tuple[list[Any], Facts | None]:
        """The cut-out as it is to be shown; a problem stands where the cut-out would."""
        here = Here.of(kept)
        try:
            draft = self.studio.storage.draft(here.visitor, here.draft or "")
            facts = self.cutout.cut(draft, int(size), box, values)
        except UserError as error:
            shown = self.cutout.show(None, None)
            shown[1] = fragments.problem(error)
            return shown, None
        return self.cutout.show(draft, facts), facts

    @spoken
    def _preset(self, preset: str) -> list[Any]:
        return self.generate.form.updates(find(preset).settings)

    def _estimate(self, kept: Any, num_frames: float, preset: str, *values: Any) -> list[str]:
        try:
            guess = self.generate.guess(int(num_frames), preset, list(values))
        except UserError as error:  # a value that is just being typed
            guess = fragments.problem(error, "warning")
        return [guess, guess]

    @spoken
    def _start(self, request: gr.Request, kept: Any, preset: str, *values: Any) -> list[Any]:
        here = Here.of(kept)
        draft = self.studio.storage.draft(here.visitor, here.draft or "")
        run = self.studio.start(here.visitor, draft, self.generate.settings(preset, list(values)))
        return self._open(here.at(run=run.name), run, "generate", request)

    @spoken
    def _cancel(self, kept: Any) -> None:
        self.studio.jobs.cancel(self._run(Here.of(kept)))

    @spoken
    def _resume(self, kept: Any) -> None:
        here = Here.of(kept)
        self.studio.resume(here.visitor, self._run(here))

    @spoken
    def _rerun(self, request: gr.Request, kept: Any, frame: float, preset: str, *values: Any) -> list[Any]:
        return self._again(Here.of(kept), int(frame) - 1, preset, list(values), request)

    @spoken
    def _refine(self, request: gr.Request, kept: Any, preset: str, *values: Any) -> list[Any]:
        here = Here.of(kept)
        total = self.studio.jobs.get(self._run(here)).progress.num_frames
        return self._again(here, total, preset, list(values), request)

    def _again(
        self, here: Here, frame: int, preset: str, values: list[Any], request: gr.Request
    ) -> list[Any]:
        settings = self.generate.settings(preset, values)
        run = self.studio.rerun(here.visitor, self._run(here), settings, frame)
        return self._open(here.at(run=run.name), run, "generate", request)

    @spoken
    def _compare(self, kept: Any, frame: float) -> Any:
        here = Here.of(kept)
        return gr.skip() if here.run is None else self.result.compare(self._run(here), int(frame))

    @spoken
    def _export(self, kept: Any, format: str) -> gr.DownloadButton:
        return self.result.make(self._run(Here.of(kept)), format)

    @spoken
    def _share(self, kept: Any, on: bool, request: gr.Request) -> list[Any]:
        run = self._run(Here.of(kept))
        share = self.studio.share(run, bool(on))
        return [link(_address(request), share), gr.skip() if on else _frame(self.studio.viewer_path(run))]

    @spoken
    def _runs(self, kept: Any) -> str:
        here = Here.of(kept)
        return gallery.cards(self.studio, self.studio.storage.runs(here.visitor), here.run)

    @spoken
    def _act(self, kept: Any, event: gr.EventData, request: gr.Request) -> list[Any]:
        here = Here.of(kept)
        run = self.studio.storage.run(here.visitor, str(event._data.get("run")))
        shown: list[Any] = [gr.skip()] * len(self._reopened)
        match event._data.get("action"):
            case "open":
                tab = "result" if self.studio.jobs.get(run).state == "finished" else "generate"
                here = here.at(run=run.name)
                shown = [*self._open(here, run, tab, request), *self.generate.settings_of(run)]
            case "pin":
                self.studio.pin(run)
            case "cancel":
                self.studio.jobs.cancel(run)
            case "delete":
                self.studio.delete(run)
        return [*shown, gallery.cards(self.studio, self.studio.storage.runs(here.visitor), here.run)]

    def _run(self, here: Here) -> Path:
        """
        Raises:
            UserError: the visitor has no run before him.
        """
        if here.run is None:
            raise UserError("There is no run yet; press Generate first.")
        return self.studio.storage.run(here.visitor, here.run)


def _frame(path: str | None) -> str:
    """The viewer's frame. Its address is relative: the page may stand below a prefix."""
    if path is None:
        return (
            '<div class="viewer none"><p>Your 4D asset appears here while it is made. '
            "(This copy has no example run: assets/example_run is missing.)</p></div>"
        )
    return (
        f'<iframe class="viewer" src="{escape(path.lstrip("/"))}" title="4D viewer" '
        'allow="fullscreen; clipboard-write"></iframe>'
    )


def _address(request: gr.Request) -> str:
    """Where the visitor sees the page, without its query."""
    address = request.headers.get("referer") or f"http://{request.headers.get('host', 'localhost')}/"
    return address.partition("?")[0].partition("#")[0]
