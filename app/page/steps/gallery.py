"""The list of a visitor's runs: their names, their origin, and what can be done with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from app.page import html, thumbnails
from app.runs.storage import JobRecord, read_job_record
from app.service import Service
from ar4d.errors import UserError

EMPTY = (
    '<div class="panel empty"><p>You have no runs yet.</p>'
    '<button type="button" data-go="Input">Choose a clip</button></div>'
)
LOADING = '<div class="panel empty"><p>Looking for your runs …</p></div>'
SORTS: dict[str, tuple[str, Callable[[JobRecord], Any]]] = {
    "newest": ("Newest first", lambda record: -record.created),
    "oldest": ("Oldest first", lambda record: record.created),
    "name": ("By name", lambda record: (record.name.casefold(), -record.created)),
    "pinned": ("Pinned first", lambda record: (not record.pinned, -record.created)),
}
PRESSED = """element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-run]");
    if (!button) return;
    const card = button.closest(".card"), { run, do: action } = button.dataset;
    if (action === "ask" || action === "keep") return ar4dAskToDelete(card, action === "ask");
    const act = (value) => trigger("select", { run, action, value, sort: ar4dSort(element) });
    if (action === "rename") ar4dRename(card, run, act);
    else act();
});
element.addEventListener("change", (event) => {
    if (event.target.matches("select.sort")) trigger("select", { action: "sort", sort: ar4dSort(element) });
});"""
"""Sends what is pressed to the server; the functions are in web/runs.js."""


def cards(service: Service, runs: list[Path], current: str | None, sort: str = "newest") -> str:
    """One card per run; its buttons carry the run and the action (`data-run`, `data-do`).

    Args:
        runs: newest first.
        current: id of the run that the page shows.
        sort: a key of `SORTS`; any other is "newest".
    """
    sort = sort if sort in SORTS else "newest"
    known, damaged = [], []
    for run in runs:
        try:
            known.append((SORTS[sort][1](read_job_record(run)), _card(service, run, run.name == current)))
        except UserError as error:  # a damaged run must not hide the others
            damaged.append(f'<article class="card">{html.problem(error)}</article>')
    shown = [card for _, card in sorted(known, key=lambda pair: pair[0])] + damaged
    if not shown:
        return EMPTY
    return f'{_sorting(sort) if len(shown) > 1 else ""}<div class="runs">{"".join(shown)}</div>'


def _sorting(chosen: str) -> str:
    options = "".join(
        f'<option value="{key}"{" selected" if key == chosen else ""}>{label}</option>'
        for key, (label, _) in SORTS.items()
    )
    return f'<label class="sorting">Sort <select class="sort">{options}</select></label>'


def _card(service: Service, run: Path, current: bool) -> str:
    job, record = service.jobs.get(run), read_job_record(run)
    progress = job.progress
    address = thumbnails.input_picture(run, 0) or ""
    psnr = f" · {html.mean(progress.psnr.values()):.1f} dB" if progress.psnr else ""
    when = time.strftime("%d %b %H:%M:%S", time.localtime(record.created))
    buttons = [
        ("open", "Open", True),
        ("rename", "Rename", True),
        ("pin", "Unpin" if record.pinned else "Pin", True),
    ]
    buttons += [("cancel", "Cancel", True)] if job.alive else [("ask", "Delete", not record.pinned)]
    return (
        f'<article class="card{" current" if current else ""}"><img src="{address}" alt="">'
        f'<div><b class="name">{escape(record.name)}</b><span>{html.STATES[job.state]}, '
        f"{progress.frames_done} of {progress.num_frames} frames{psnr}</span>"
        f"<span>{escape(job.settings.preset)} · {when}"
        f"{' · pinned' if record.pinned else ''}</span>{_origin(record)}"
        f'<div class="actions">{_buttons(run, buttons)}</div>'
        '<div class="sure" role="group" aria-label="Delete this run?" hidden><span>Delete it for good?</span>'
        f"{_buttons(run, [('delete', 'Yes, delete', True), ('keep', 'Keep it', True)])}</div></div></article>"
    )


def _origin(record: JobRecord) -> str:
    """Which run a run was made from, and which frame was the first that it made anew."""
    if not record.origin:
        return ""
    frame = "refinement only" if record.origin_frame is None else f"from frame {record.origin_frame + 1}"
    return f"<span>made from “{escape(record.origin)}”, {frame}</span>"


def _buttons(run: Path, buttons: list[tuple[str, str, bool]]) -> str:
    return "".join(
        f'<button type="button" data-run="{escape(run.name)}" data-do="{what}"'
        f"{'' if on else ' disabled'}>{text}</button>"
        for what, text, on in buttons
    )
