"""A visitor's own runs."""

from __future__ import annotations

import time
from html import escape
from pathlib import Path

from app.page import html as fragments
from app.page import thumbnails as pictures
from app.runs.storage import read_label
from app.service import Studio
from ar4d.errors import UserError

EMPTY = '<p class="hint">You have no runs yet.</p>'


def cards(studio: Studio, runs: list[Path], current: str | None) -> str:
    """One card a run, with buttons that say which run and what to do (`data-run`, `data-do`)."""
    shown = []
    for run in runs:
        try:
            shown.append(_card(studio, run, run.name == current))
        except UserError as error:  # a damaged folder must not hide the others
            shown.append(f'<article class="card">{fragments.problem(error)}</article>')
    return f'<div class="runs">{"".join(shown)}</div>' if shown else EMPTY


def _card(studio: Studio, run: Path, current: bool) -> str:
    job, label = studio.jobs.get(run), read_label(run)
    progress = job.progress
    address = pictures.picture_if_made(run, "input", 0)
    psnr = f" · {fragments.mean(progress.psnr.values()):.1f} dB" if progress.psnr else ""
    when = time.strftime("%d %b %H:%M", time.localtime(label.created))
    buttons = [("open", "Open", True), ("pin", "Unpin" if label.pinned else "Pin", True)]
    buttons += [("cancel", "Cancel", True)] if job.alive else [("delete", "Delete", not label.pinned)]
    row = "".join(
        f'<button type="button" data-run="{escape(run.name)}" data-do="{what}"'
        f"{'' if on else ' disabled'}>{text}</button>"
        for what, text, on in buttons
    )
    return (
        f'<article class="card{" current" if current else ""}"><img src="{address}" alt="">'
        f"<div><b>{escape(label.name)}</b><span>{fragments.STATES[job.state]}, {progress.frames_done} of "
        f"{progress.num_frames} frames{psnr}</span><span>{escape(job.settings.preset)} · {when}"
        f"{' · pinned' if label.pinned else ''}</span><div>{row}</div></div></article>"
    )
