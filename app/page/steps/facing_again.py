"""In Result: say which way the subject faces, and make the run again with it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import gradio as gr

from app.page import thumbnails
from app.page.session import Session, report_user_errors
from app.page.steps.facing import FacingChoice, read_facing
from ar4d.errors import UserError

if TYPE_CHECKING:
    from app.page.layout import Page


class FacingAgain:
    """Arrows round the first frame of a finished run, and the button that makes it again."""

    def __init__(self) -> None:
        with gr.Accordion(
            "The back looks wrong? Say where it faces.", open=False, elem_id="facing-again"
        ) as box:
            self.arrows = FacingChoice("facing-result")
            self.chosen = gr.State("auto")
            self.start = gr.Button("Make it again", interactive=False)
        self.box = box

    def wire(self, page: Page) -> Any:
        """Connects the components; returns the event after which the new run is followed."""
        self.page = page
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        shown = [self.chosen, self.arrows.view, self.start]
        self.box.expand(self._show, [page.session], shown, **private)
        self.arrows.view.select(self._choose, [page.session], shown, **private)
        return self.start.click(self._again, [page.session, self.chosen], page.opened, **private)

    def _settings(self, session: Session) -> Any:
        settings = self.page.service.jobs.get(self.page.run_of(session)).settings
        if not hasattr(settings, "facing"):  # another engine's
            raise UserError("This run's method does not ask where the subject faces.")
        return settings

    @report_user_errors
    def _show(self, stored: Any) -> list[Any]:
        session = Session.from_browser(stored)
        return self._shown(session, self._settings(session).facing)

    @report_user_errors
    def _choose(self, stored: Any, event: gr.EventData) -> list[Any]:
        return self._shown(Session.from_browser(stored), read_facing(event._data))

    def _shown(self, session: Session, chosen: str) -> list[Any]:
        job = self.page.service.jobs.get(self.page.run_of(session))
        picture = thumbnails.input_picture(job.folder, 0)
        arrows = self.arrows.show(picture, chosen, job.progress.facing_guess)
        other = chosen != self._settings(session).facing and not job.alive
        return [chosen, arrows, gr.Button(interactive=other, variant="primary" if other else "secondary")]

    @report_user_errors
    def _again(self, request: gr.Request, stored: Any, chosen: str) -> list[Any]:
        session = Session.from_browser(stored)
        settings = dataclasses.replace(self._settings(session), facing=read_facing({"facing": chosen}))
        run = self.page.service.rerun(session.visitor, self.page.run_of(session), settings, first_frame=0)
        job = self.page.service.jobs.get(run)
        return self.page.open(session.replace(run=run.name), job, "generate", request)
