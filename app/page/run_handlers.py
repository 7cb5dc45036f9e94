"""What the page does when a visitor starts, repeats, cancels or resumes a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from app.page.session import Session, found, report_user_errors
from app.page.steps import facing
from app.runs.drafts import CutoutRecord
from app.runs.queue import Job
from ar4d.errors import UserError
from ar4d.settings import EngineSettings

if TYPE_CHECKING:
    from app.page.layout import Page


class RunHandlers:
    """The handlers of step 3."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @report_user_errors
    def start(self, request: gr.Request, stored: Any, preset: str, *values: Any) -> list[Any]:
        session = Session.from_browser(stored)
        draft = self.page.service.storage.draft(session.visitor, session.draft or "")
        settings = self.page.generate.settings(preset, list(values))
        if self.page.service.same_run(session.visitor, draft, settings) is not None:
            shown: list[Any] = [gr.skip()] * len(self.page.opened)
            shown[self.page.opened.index(self.page.generate.question)] = gr.Column(visible=True)
            return shown
        return self._begin(session, draft, settings, request)

    def _begin(
        self, session: Session, draft: Path, settings: EngineSettings, request: gr.Request
    ) -> list[Any]:
        run = self.page.service.create_run(session.visitor, draft, settings)
        job = self.page.service.jobs.get(run)
        return self.page.open(session.replace(run=run.name), job, "generate", request)

    @report_user_errors
    def start_anyway(self, request: gr.Request, stored: Any, preset: str, *values: Any) -> list[Any]:
        session = Session.from_browser(stored)
        draft = self.page.service.storage.draft(session.visitor, session.draft or "")
        return self._begin(session, draft, self.page.generate.settings(preset, list(values)), request)

    @report_user_errors
    def open_same(self, request: gr.Request, stored: Any, preset: str, *values: Any) -> list[Any]:
        session = Session.from_browser(stored)
        draft = self.page.service.storage.draft(session.visitor, session.draft or "")
        run = self.page.service.same_run(
            session.visitor, draft, self.page.generate.settings(preset, list(values))
        )
        if run is None:
            raise UserError("That run was deleted meanwhile; press Generate.")
        job = self.page.service.jobs.get(run)
        return self.page.open(session.replace(run=run.name), job, tab_of(job), request)

    @report_user_errors
    def face(self, stored: Any, event: gr.EventData) -> list[Any]:
        session, chosen = Session.from_browser(stored), facing.read_facing(event._data)
        draft = found(self.page.service.storage.draft, session.visitor, session.draft)
        record = found(CutoutRecord.read, draft) if draft else None
        return [chosen, facing.of_draft(self.page.generate.facing, draft, record, chosen)]

    @report_user_errors
    def cancel_run(self, stored: Any) -> None:
        self.page.service.jobs.cancel(self.page.run_of(Session.from_browser(stored)))

    @report_user_errors
    def resume_run(self, stored: Any) -> None:
        session = Session.from_browser(stored)
        self.page.service.resume(session.visitor, self.page.run_of(session))

    @report_user_errors
    def rerun(self, request: gr.Request, stored: Any, frame: float, preset: str, *values: Any) -> list[Any]:
        return self._again(Session.from_browser(stored), int(frame) - 1, preset, list(values), request)

    @report_user_errors
    def refine(self, request: gr.Request, stored: Any, preset: str, *values: Any) -> list[Any]:
        session = Session.from_browser(stored)
        total = self.page.service.jobs.get(self.page.run_of(session)).progress.num_frames
        return self._again(session, total, preset, list(values), request)

    def _again(
        self, session: Session, frame: int, preset: str, values: list[Any], request: gr.Request
    ) -> list[Any]:
        settings = self.page.generate.settings(preset, values)
        run = self.page.service.rerun(session.visitor, self.page.run_of(session), settings, frame)
        job = self.page.service.jobs.get(run)
        return self.page.open(session.replace(run=run.name), job, "generate", request)


def tab_of(job: Job) -> str:
    """The step that shows a run."""
    return "result" if job.state == "finished" else "generate"
