"""The page: its layout and its event handlers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import gradio as gr

from app import api
from app.page import html
from app.page.arrivals import Arrivals
from app.page.cutout_handlers import CutoutHandlers
from app.page.run_handlers import RunHandlers, tab_of
from app.page.session import Session, browser_state, found, report_user_errors, to_gradio_error
from app.page.steps import cutout, facing, gallery
from app.page.steps.cutout import CutoutStep
from app.page.steps.generate import Buttons, GenerateStep
from app.page.steps.result import ResultStep, link
from app.page.steps.source import SourceStep
from app.runs.drafts import CutoutRecord
from app.runs.queue import Job
from app.runs.worker import TaskFailed, WorkerDied
from app.service import Service
from ar4d.errors import UserError
from ar4d.presets import find

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
BUSY: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}

# Between the click and the queue: a busy server takes a moment.
STARTING = "() => document.querySelector('#generate').classList.add('busy')"
STARTED = "() => document.querySelector('#generate').classList.remove('busy')"


class Page:
    """The Gradio page of a service; `demo` is the app."""

    def __init__(self, service: Service, example: str | None) -> None:
        """
        Args:
            example: path of the viewer that shows the example run; None if there is none.
        """
        self.service, self.example = service, example
        self._following: dict[str, object] = {}  # by connection: its newest follower
        self.arrivals = Arrivals()
        with gr.Blocks(title="AR4D", fill_width=True) as self.demo:
            self.session = browser_state()
            gr.HTML(html.HEADER, elem_id="header")
            with gr.Row(elem_id="main"):
                with gr.Column(elem_id="steps", min_width=320), gr.Tabs(elem_id="tabs") as self.tabs:
                    with gr.Tab("1 Input", id="input"):
                        self.source = SourceStep(service)
                    with gr.Tab("2 Cut-out", id="cutout"):
                        self.cutout = CutoutStep(service)
                    with gr.Tab("3 Generate", id="generate"):
                        self.generate = GenerateStep(service)
                        self.cutting = CutoutHandlers(service, self.cutout, self.generate.facing)
                    with gr.Tab("4 Result", id="result"):
                        self.result = ResultStep(service)
                    with gr.Tab("Runs", id="runs") as self.runs_tab:
                        self.runs = gr.HTML(gallery.LOADING, elem_id="runs", js_on_load=gallery.PRESSED)
                with gr.Column(elem_id="stage", min_width=320):
                    self.viewer = gr.HTML(html.viewer_frame(example), elem_id="viewer")
            self.run = RunHandlers(self)
            self._wire()
            api.add(service)
        self.demo.queue(default_concurrency_limit=None)

    # --- wiring ---------------------------------------------------------------------------------

    def _wire(self) -> None:
        step, cut, result = self.generate, self.cutout, self.result
        self.opened = [
            self.session, self.tabs, self.viewer, step.progress, step.settings_box, *step.parts,
            *step.buttons, step.question, step.facing.view, *result.shown,
        ]  # fmt: skip
        self._cut = [*cut.shown, *cut.controls, *step.buttons, step.facing.view]
        self._form = [step.preset, *step.forms.components]
        self._estimates = [step.estimate, cut.estimate]
        self._reopened = [*self.opened, step.quality, step.preset, *step.chosen]
        arrived = self.demo.load(self._arrive, [self.session], [*self._reopened, *self._cut], **PRIVATE)
        arrived.then(self.arrivals.finish, None, None, **PRIVATE)
        for event in (self._tail(), self._guess()):
            arrived.then(**event)
        self.demo.unload(self._leave)
        self._wire_source()
        self._wire_cutout()
        self._wire_settings()
        self._wire_runs()
        result.facing_again.wire(self).success(**self._tail())
        result.share.input(self._share, [self.session, result.share], [result.link, self.viewer], **PRIVATE)

    def _wire_source(self) -> None:
        source = self.source
        taken = [self.session, self.tabs, *self.cutout.shown]
        uploads = ((source.drop.upload, source.drop), (source.webcam.stop_recording, source.webcam))
        for event, component in uploads:
            ready = event(self.arrivals.wait, None, None, **PRIVATE)
            uploaded = ready.success(self._take_file, [self.session, component], taken, **PRIVATE)
            uploaded.then(lambda: None, None, component, **PRIVATE)  # the next one may come
            self._then_cut(uploaded)
        chosen = source.examples.select(self.arrivals.choice, None, source.example, **PRIVATE)
        inputs = [self.session, source.example]
        self._then_cut(chosen.success(self._take_example, inputs, taken, **PRIVATE))
        ready = source.generate.click(self.arrivals.wait, None, None, **PRIVATE)
        made = ready.success(
            self._generate_clip, [self.session, *source.prompt_inputs], [*taken, source.generating], **PRIVATE
        )
        self._then_cut(made)
        source.cancel.click(self._cancel_clip, [self.session], None, **PRIVATE)

    def _then_cut(self, taken: Any) -> None:
        size, direction = self.generate.form["size"], self.generate.form["facing"]
        reset = taken.success(lambda: "auto", None, direction, **PRIVATE)  # another subject
        inputs = [self.session, size, direction]
        reset.success(self.cutting.cut_new, inputs, self._cut, **PRIVATE).then(**self._guess())

    def _wire_cutout(self) -> None:
        form = self.generate.form
        shown = [*self.generate.buttons, self.generate.facing.view]
        self.cutting.wire(self.session, form["size"], form["facing"], shown, self._guess)
        show_generate = lambda: gr.Tabs(selected="generate")  # noqa: E731
        self.cutout.proceed.click(show_generate, None, self.tabs, **PRIVATE)

    def _wire_settings(self) -> None:
        step = self.generate
        both = [step.quality, step.preset, *step.chosen]
        for choice in (step.preset, step.quality):
            choice.input(self._preset, [choice], both, **PRIVATE).then(**self._guess())
        step.facing.view.select(
            self.run.face, [self.session], [step.form["facing"], step.facing.view], **PRIVATE
        )
        gr.on([c.input for c in step.forms.components], trigger_mode="always_last", **self._guess())
        step.dice.click(lambda: random.randrange(2**31), None, step.form["seed"], **PRIVATE)
        step.start.click(None, js=STARTING)
        inputs = [self.session, *self._form]
        begin = step.start.click(self.run.start, inputs, self.opened, **BUSY)
        begin.then(None, js=STARTED)
        begin.success(**self._tail())
        step.start_anyway.click(self.run.start_anyway, inputs, self.opened, **BUSY).success(**self._tail())
        step.open_same.click(self.run.open_same, inputs, self.opened, **BUSY).success(**self._tail())
        step.cancel.click(self.run.cancel_run, [self.session], None, **PRIVATE)
        step.resume.click(self.run.resume_run, [self.session], None, **PRIVATE).success(**self._tail())
        step.result.click(lambda: gr.Tabs(selected="result"), None, self.tabs, **PRIVATE)
        again = [self.session, step.first_frame, *self._form]
        step.rerun.click(self.run.rerun, again, self.opened, **BUSY).success(**self._tail())
        step.refine.click(self.run.refine, [self.session, *self._form], self.opened, **BUSY).success(
            **self._tail()
        )

    def _wire_runs(self) -> None:
        self.runs_tab.select(self._runs, [self.session], self.runs, **PRIVATE)
        acted = self.runs.select(self._act, [self.session], [*self._reopened, self.runs], **PRIVATE)
        acted.success(**self._tail())

    def _tail(self) -> dict[str, Any]:
        """The event that follows the visitor's run while it is alive."""
        outputs = [*self.generate.shown, *self.generate.parts, *self.result.shown]
        return {"fn": self._follow, "inputs": [self.session], "outputs": outputs, **PRIVATE}

    def _guess(self) -> dict[str, Any]:
        inputs = [self.session, self.cutout.num_frames, *self._form]
        return {"fn": self._estimate, "inputs": inputs, "outputs": self._estimates, **PRIVATE}

    # --- opening and leaving -----------------------------------------------------------------------

    @report_user_errors
    def _arrive(self, stored: Any, request: gr.Request) -> list[Any]:
        """Restores the visitor's draft and run when the page is opened or reloaded."""
        session = Session.from_browser(stored)
        run = found(self.service.storage.run, session.visitor, session.run)
        draft = found(self.service.storage.draft, session.visitor, session.draft)
        record = found(CutoutRecord.read, draft) if draft else None
        session = session.replace(run=run and run.name, draft=draft and draft.name)
        job = found(self.service.jobs.get, run) if run else None
        tab = tab_of(job) if job else "cutout" if record else None
        controls = self.cutout.settings_of(record) if record else [gr.skip()] * len(self.cutout.controls)
        ready = Buttons.for_state(job.state if job else None).updates(record is not None)
        arrows = facing.of_draft(self.generate.facing, draft, record, "auto")
        cut = [*self.cutout.show(draft, record), *controls, *ready, arrows]
        return [*self.open(session, job, tab, request), *self.generate.settings_of(job), *cut]

    def _leave(self, request: gr.Request) -> None:
        self._following.pop(request.session_hash or "", None)
        self.arrivals.leave(request)

    def open(self, session: Session, job: Job | None, tab: str | None, request: gr.Request) -> list[Any]:
        """Shows a run: the values of `self.opened`. Without a tab, the visitor's own choice stays."""
        frame: Any = gr.skip()
        if job is not None:
            frame = html.viewer_frame(self.service.viewer_path(job.folder))
        boxes = [gr.Column(visible=job is not None), gr.Accordion(open=job is None)]
        results = self.result.show(job, _address(request))
        return [
            session.to_browser(),
            gr.Tabs(selected=tab) if tab else gr.skip(),
            frame,
            *boxes,
            *self.generate.parts_of(job),
            *Buttons.for_state(job.state if job else None).updates(session.draft is not None),
            gr.Column(visible=False),
            gr.skip(),
            *results,
        ]

    async def _follow(self, stored: Any, request: gr.Request) -> AsyncGenerator[list[Any], None]:
        session, connection, mine = Session.from_browser(stored), request.session_hash or "", object()
        self._following[connection] = mine
        rest = len(self.generate.parts) + len(self.result.shown)
        try:
            if session.run is None:
                yield [gr.skip()] * (len(self.generate.shown) + rest)
                return
            run = self.service.storage.run(session.visitor, session.run)
            was_alive = self.service.jobs.get(run).alive
            is_current = lambda: self._following.get(connection) is mine  # noqa: E731
            async for values in self.generate.follow(run, is_current):
                yield [*values, *[gr.skip()] * rest]
            if was_alive and is_current():
                job = self.service.jobs.get(run)
                results = await asyncio.to_thread(self.result.show, job, _address(request))
                yield [*[gr.skip()] * len(self.generate.shown), *self.generate.parts_of(job), *results]
        except UserError as error:
            raise to_gradio_error(error) from error

    # --- the steps ------------------------------------------------------------------------------

    @report_user_errors
    def _take_file(self, stored: Any, paths: str | list[str] | None) -> list[Any]:
        session = Session.from_browser(stored)
        return self._taken(session, self.source.from_files(session.visitor, paths))

    @report_user_errors
    def _take_example(self, stored: Any, name: str) -> list[Any]:
        session = Session.from_browser(stored)
        return self._taken(session, self.source.from_example(session.visitor, name))

    def _generate_clip(self, stored: Any, *prompt: Any) -> Generator[list[Any], None, None]:
        """Makes a clip from a prompt: yields its progress, then the draft."""
        session = Session.from_browser(stored)
        try:
            for progress, draft in self.source.from_prompt(session.visitor, *prompt):
                nothing = [gr.skip()] * (2 + len(self.cutout.shown))
                yield [*(self._taken(session, draft) if draft else nothing), progress]
        except (UserError, WorkerDied, TaskFailed) as error:
            raise to_gradio_error(error) from error

    @report_user_errors
    def _cancel_clip(self, stored: Any) -> None:
        self.source.prompt_jobs.cancel(Session.from_browser(stored).visitor)

    def _taken(self, session: Session, draft: Path) -> list[Any]:
        stored = session.replace(draft=draft.name).to_browser()
        empty = self.cutout.show(None, None)
        return [stored, gr.Tabs(selected="cutout"), cutout.BUSY, *empty[1:]]

    @report_user_errors
    def _preset(self, preset: str) -> list[Any]:
        updates = self.generate.values_of(find(preset).settings)
        return [self.generate.quality_of(preset), preset, *updates]

    def _estimate(self, stored: Any, num_frames: float, preset: str, *values: Any) -> list[str]:
        try:
            guess = self.generate.guess(int(num_frames), preset, list(values))
        except UserError as error:  # a value that is still being typed
            guess = html.problem(error, "warning")
        return [guess, guess]

    @report_user_errors
    def _share(self, stored: Any, on: bool, request: gr.Request) -> list[Any]:
        run = self.run_of(Session.from_browser(stored))
        share = self.service.share(run, bool(on))
        return [
            link(_address(request), share),
            gr.skip() if on else html.viewer_frame(self.service.viewer_path(run)),
        ]

    @report_user_errors
    def _runs(self, stored: Any) -> str:
        return self._cards(Session.from_browser(stored))

    @report_user_errors
    def _act(self, stored: Any, event: gr.EventData, request: gr.Request) -> list[Any]:
        session = Session.from_browser(stored)
        shown: list[Any] = [gr.skip()] * len(self._reopened)
        action, sort = event._data.get("action"), str(event._data.get("sort"))
        if action == "sort":
            return [*shown, self._cards(session, sort)]
        run = self.service.storage.run(session.visitor, str(event._data.get("run")))
        match action:
            case "rename":
                self.service.rename(run, str(event._data.get("value")))
            case "open":
                job = self.service.jobs.get(run)
                session = session.replace(run=run.name)
                opened = self.open(session, job, tab_of(job), request)
                shown = [*opened, *self.generate.settings_of(job)]
            case "pin":
                self.service.pin(run)
            case "cancel":
                self.service.jobs.cancel(run)
            case "delete":
                self.service.delete(run)
        return [*shown, self._cards(session, sort)]

    def _cards(self, session: Session, sort: str = "newest") -> str:
        return gallery.cards(self.service, self.service.storage.runs(session.visitor), session.run, sort)

    def run_of(self, session: Session) -> Path:
        """
        Raises:
            UserError: the visitor has no open run.
        """
        if session.run is None:
            raise UserError("There is no run yet; press Generate first.")
        return self.service.storage.run(session.visitor, session.run)


def _address(request: gr.Request) -> str:
    """The page's address in the visitor's browser, without its query."""
    address = request.headers.get("referer") or f"http://{request.headers.get('host', 'localhost')}/"
    return address.partition("?")[0].partition("#")[0]
