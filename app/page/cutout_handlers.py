"""What the page does when a visitor corrects, trims or cancels a cut-out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import gradio as gr

from app.page import html
from app.page.session import Session, found, report_user_errors, to_gradio_error
from app.page.steps import cutout
from app.page.steps.cutout import CutoutStep
from app.page.steps.facing import FacingChoice, of_draft
from app.page.steps.generate import Buttons
from app.runs import other_views
from app.runs.drafts import CutoutRecord
from app.service import Service
from ar4d.clip import Corrections
from ar4d.errors import UserError

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


class CutoutHandlers:
    """The handlers of step 2."""

    def __init__(self, service: Service, step: CutoutStep, arrows: FacingChoice) -> None:
        self.service, self.cutout, self.arrows = service, step, arrows

    def wire(
        self, session: Any, size: Any, facing: Any, next_step: list[Any], guess: Callable[[], dict[str, Any]]
    ) -> None:
        """Connects the step's components.

        Args:
            session: the component that holds the visitor's session.
            size: the component with the clip's size.
            facing: the component with the direction that the subject faces.
            next_step: the next step's buttons, and its arrows round the first frame.
            guess: makes the event that estimates a run.
        """
        cut = self.cutout
        values = [session, size, facing, *cut.controls]
        controls = [cut.start.submit, cut.end.submit, cut.num_frames.release, cut.threshold.release]
        controls += [cut.largest.input, cut.background.input, cut.framing.input, cut.canonical.input]
        outputs = [*cut.shown, *next_step]
        newest = {"trigger_mode": "always_last", **PRIVATE}
        gr.on(controls, self.recut, values, outputs, **newest).then(**guess())
        corrected = cut.view.select(self.correct, values, [*outputs, *cut.controls], **newest)
        corrected.then(**guess())
        sided = cut.sides.upload(self.add_views, [session, cut.sides, *values[1:]], outputs, **newest)
        sided.then(lambda: None, None, cut.sides, **PRIVATE).then(**guess())
        without = cut.no_sides.click(self.forget_views, values, outputs, **newest)
        without.then(**guess())
        cut.cancel.click(self.cancel_cut_out, [session], None, **PRIVATE)

    def cut_new(self, stored: Any, size: float, facing: str) -> Generator[list[Any], None, None]:
        for shown, record in self._cut_out(stored, size, None):
            controls = self.cutout.settings_of(record) if record else [gr.skip()] * len(self.cutout.controls)
            yield [*shown, *controls, *self._next(stored, record, facing)]

    def recut(self, stored: Any, size: float, facing: str, *values: Any) -> Generator[list[Any], None, None]:
        for shown, record in self._cut_out(stored, size, list(values)):
            yield [*shown, *self._next(stored, record, facing)]

    def correct(
        self, event: gr.EventData, stored: Any, size: float, facing: str, *values: Any
    ) -> Generator[list[Any], None, None]:
        """Takes what was drawn on the cut-out, or the trimmed times."""
        corrections, controls = None, list(values)
        try:
            match event._data.get("action"):
                case "correct":
                    corrections = cutout.read_corrections(event._data.get("corrections"))
                case "trim":
                    controls[:2] = [round(float(event._data[key]), 3) for key in ("start", "end")]
                case _:
                    raise UserError("That click lies outside the picture: click on the video itself.")
        except UserError as error:
            raise to_gradio_error(error) from error
        for shown, record in self._cut_out(stored, size, controls, corrections):
            kept = self.cutout.settings_of(record) if record else [gr.skip()] * len(self.cutout.controls)
            yield [*shown, *self._next(stored, record, facing), *kept]

    def add_views(
        self, stored: Any, paths: list[str] | None, size: float, facing: str, *values: Any
    ) -> Generator[list[Any], None, None]:
        """Takes videos from other sides, and makes the cut-out again with them."""
        session = Session.from_browser(stored)
        try:
            draft = self.service.storage.draft(session.visitor, session.draft or "")
            self.service.add_views(draft, [Path(path) for path in paths or ()])
        except UserError as error:
            raise to_gradio_error(error) from error
        yield from self.recut(stored, size, facing, *values)

    def forget_views(
        self, stored: Any, size: float, facing: str, *values: Any
    ) -> Generator[list[Any], None, None]:
        """Removes the videos from other sides, and makes the cut-out again without them."""
        session = Session.from_browser(stored)
        draft = found(self.service.storage.draft, session.visitor, session.draft)
        if draft is not None:
            other_views.forget(draft)
        yield from self.recut(stored, size, facing, *values)

    def _next(self, stored: Any, record: CutoutRecord | None, facing: str) -> list[Any]:
        """The next step's buttons and arrows for a new cut-out; nothing changes while there is none."""
        session = Session.from_browser(stored)
        if record is None:
            return [gr.skip()] * 5
        draft = self.service.storage.draft(session.visitor, session.draft or "")
        try:
            state = self.service.jobs.get(self.service.storage.run(session.visitor, session.run or "")).state
        except UserError:
            state = None
        ready = Buttons.for_state(state, new_clip=True).updates(True)
        return [*ready, of_draft(self.arrows, draft, record, facing)]

    @report_user_errors
    def cancel_cut_out(self, stored: Any) -> None:
        session = Session.from_browser(stored)
        self.service.cancel_cut_out(self.service.storage.draft(session.visitor, session.draft or ""))

    def _cut_out(
        self, stored: Any, size: float, values: list[Any] | None, corrections: Corrections | None = None
    ) -> Generator[tuple[list[Any], CutoutRecord | None], None, None]:
        """The cut-out in the making, then finished; if it fails, a sentence joins the one before."""
        session = Session.from_browser(stored)
        draft = None
        try:
            draft = self.service.storage.draft(session.visitor, session.draft or "")
            events = self.cutout.cut(draft, int(size), values, corrections)
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    yield self.cutout.show(draft, end.value), end.value
                    return
                yield self.cutout.show_progress(draft, event), None
        except UserError as error:
            before = found(CutoutRecord.read, draft) if draft and values is not None else None
            if before is None:
                yield self.cutout.show_failure(error), None
                return
            shown = self.cutout.show(draft, before)
            # What was drawn stays as it is, so that it can be undone.
            yield [gr.skip(), html.problem(error) + shown[1], *shown[2:]], before
