"""The list of a visitor's runs."""

from __future__ import annotations

import time
from html import escape
from pathlib import Path

from app.page import html, thumbnails
from app.runs.storage import read_job_record
from app.service import Service
from ar4d.errors import UserError

EMPTY = '<p class="hint">You have no runs yet.</p>'


def cards(service: Service, runs: list[Path], current: str | None) -> str:
    """One card per run; its buttons carry the run and the action (`data-run`, `data-do`)."""
    shown = []
    for run in runs:
        try:
            shown.append(_card(service, run, run.name == current))
        except UserError as error:  # a damaged run must not hide the others
            shown.append(f'<article class="card">{html.problem(error)}</article>')
    return f'<div class="runs">{"".join(shown)}</div>' if shown else EMPTY


def _card(service: Service, run: Path, current: bool) -> str:
    job, record = service.jobs.get(run), read_job_record(run)
    progress = job.progress
    address = thumbnails.input_picture(run, 0)
    psnr = f" · {html.mean(progress.psnr.values()):.1f} dB" if progress.psnr else ""
    when = time.strftime("%d %b %H:%M", time.localtime(record.created))
    buttons = [("open", "Open", True), ("pin", "Unpin" if record.pinned else "Pin", True)]
    buttons += [("cancel", "Cancel", True)] if job.alive else [("delete", "Delete", not record.pinned)]
    row = "".join(
        f'<button type="button" data-run="{escape(run.name)}" data-do="{what}"'
        f"{'' if on else ' disabled'}>{text}</button>"
        for what, text, on in buttons
    )
    return (
        f'<article class="card{" current" if current else ""}"><img src="{address}" alt="">'
        f"<div><b>{escape(record.name)}</b><span>{html.STATES[job.state]}, {progress.frames_done} of "
        f"{progress.num_frames} frames{psnr}</span><span>{escape(job.settings.preset)} · {when}"
        f"{' · pinned' if record.pinned else ''}</span><div>{row}</div></div></article>"
    )
