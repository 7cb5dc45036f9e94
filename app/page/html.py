"""Parts of the page as HTML: a run's progress, log, estimate and numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from html import escape

from app.runs.estimates import Estimate
from app.runs.progress import Progress
from app.runs.queue import Job, State
from app.runs.storage import strip_server_paths

HEADER = """<header><svg viewBox="0 0 32 32" aria-hidden="true"><ellipse cx="16" cy="16" rx="14" ry="5.5"
transform="rotate(-24 16 16)"/><circle cx="16" cy="16" r="6"/><circle cx="28" cy="10.500" r="2.6"/></svg>
<h1>AR4D</h1><p>A video of an object goes in, a moving 3D object comes out.</p>
<button type="button" onclick="ar4dToggleTheme()" title="Light or dark" aria-label="Light or dark">◐</button>
</header>"""
STATES: dict[State, str] = {
    "queued": "Queued",
    "running": "Working",
    "stopped": "Stopped",
    "failed": "Failed",
    "finished": "Finished",
}


def duration(seconds: float) -> str:
    """A length of time in words, with sensible precision."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def roughly(seconds: float) -> str:
    """An estimated length of time, rounded so that it does not flicker."""
    return duration(seconds) if seconds < 100 else duration(60 * round(seconds / 60)).removesuffix(" 0 s")


def between(seconds: float) -> str:
    """An estimated length of time as a range: "40 to 65 s", "3 to 5 min"."""
    low, high = 0.8 * seconds, 1.3 * seconds
    if high < 10:
        return "10 s"
    if high < 120:
        return f"{max(5, 5 * round(low / 5))} to {5 * math.ceil(high / 5)} s"
    low, high = max(1, round(low / 60)), math.ceil(high / 60)
    if high < 90:
        return f"{low} to {high} min"
    return f"{low / 60:.1f} to {high / 60:.1f} h"


def notice(text: str, kind: str = "plain") -> str:
    """A message in a box; empty if there is no text.

    Args:
        kind: plain, warning or error.
    """
    return f'<p class="notice {kind}">{escape(text)}</p>' if text else ""


def problem(error: Exception, kind: str = "error") -> str:
    """An error message in a box, without the server's folders."""
    return notice(strip_server_paths(str(error)), kind)


def notices(texts: Sequence[str], kind: str = "warning") -> str:
    """Messages in boxes."""
    return "".join(notice(text, kind) for text in texts)


def panel(job: Job, state: State, position: int, seconds: float | None, expected: Mapping[str, float]) -> str:
    """The panel of a run: its stage and frame, the time left, and the progress of each stage.

    Args:
        state: the job's state, read once so that all parts agree.
        position: runs before it in the queue.
        seconds: time until the run is finished, or until it starts if it is queued.
        expected: seconds of each stage, which give the widths of the bars.
    """
    progress = job.progress
    title, aside = _headline(progress, state, position, seconds)
    return (
        f'<div class="panel {state}" data-state="{state}" data-frames="{progress.frames_done}" '
        f'data-run="{escape(job.folder.name)}" data-title="{escape(title)}">'
        f'<div class="headline"><strong>{escape(title)}</strong><span>{escape(aside)}</span></div>'
        f"{_bars(progress, state, expected)}{_cells(progress, state)}"
        f'<div class="facts">{_facts(progress, state)}</div>'
        f"{notice(job.error, 'error')}</div>"
    )


def _headline(progress: Progress, state: State, position: int, seconds: float | None) -> tuple[str, str]:
    if state == "queued":
        turn = "You are next" if position == 0 else f"{position + 1}th in the queue" if position > 2 else (
            f"{('2nd', '3rd')[position - 1]} in the queue"
        )  # fmt: skip
        return turn, f"starts in about {roughly(seconds)}" if seconds else "starts in a moment"
    if state != "running":
        if state == "finished":
            return STATES[state], f"{mean(progress.psnr.values()):.2f} dB at the reference view"
        return STATES[state], f"{progress.frames_done} of {progress.num_frames} frames are kept"
    left = f"about {between(seconds)} left" if seconds else ""
    if progress.task:
        return progress.task, left
    if progress.stage is None:
        return "Getting ready", left
    if progress.frame_index is None:
        return progress.title(progress.stage), left
    return (
        f"{progress.title(progress.stage)}, frame {progress.frame_index + 1} of {progress.num_frames}",
        left,
    )


def _bars(progress: Progress, state: State, expected: Mapping[str, float]) -> str:
    """One bar per stage, as wide as the stage takes."""
    total = sum(expected.values()) or 1.0
    names = list(progress.stages)
    begun = max((k for k, name in enumerate(names) if progress.stages[name].total), default=-1)
    bars = []
    for k, (name, stage) in enumerate(progress.stages.items()):
        share = 1.0 if state == "finished" or k < begun else stage.fraction
        weight = max(expected.get(name, 0.0) / total, 0.16)
        busy = " busy" if state == "running" and progress.stage == name else ""
        bars.append(
            f'<div class="bar{busy}" style="flex:{weight:.3f}"><i style="width:{100 * share:.1f}%"></i>'
            f"<span>{escape(stage.short_title)}</span></div>"
        )
    return f'<div class="bars" role="img" aria-label="Progress of the stages">{"".join(bars)}</div>'


def _cells(progress: Progress, state: State) -> str:
    """One cell per frame: empty, at work, or finished."""
    cells = []
    for k in range(progress.num_frames):
        if k in progress.psnr:
            cells.append(f'<i class="done" title="frame {k + 1}: {progress.psnr[k]:.2f} dB"></i>')
        else:
            now = state == "running" and progress.frame_index == k
            cells.append(f'<i class="{"now" if now else ""}" title="frame {k + 1}"></i>')
    return f'<div class="cells">{"".join(cells)}</div>'


def _facts(progress: Progress, state: State) -> str:
    facts = []
    if state == "running" and progress.num_steps:
        facts.append(f"step {progress.step} of {progress.num_steps}")
        if progress.speed:
            facts.append(
                f"{progress.speed:.0f} it/s" if progress.speed >= 10 else f"{progress.speed:.1f} it/s"
            )
    facts.append(f"{progress.frames_done} of {progress.num_frames} frames")
    experts = sorted({name for name, _ in progress.experts.values()})
    facts += [f"expert for unseen sides: {', '.join(experts)}"] if experts else []
    if progress.facing and progress.facing_guess:
        facts.append(f"{progress.facing} ({progress.facing_guess[1]:.0%} sure)")
    return "".join(f"<span>{escape(fact)}</span>" for fact in facts)


def figures(pairs: Sequence[tuple[str, str | None]], css: str = "pictures") -> str:
    """Pictures with captions, side by side; a missing one leaves an empty square."""
    figures = []
    for caption, address in pairs:
        image = f'<img src="{address}" alt="{escape(caption)}">' if address else "<div></div>"
        figures.append(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")
    return f'<div class="{css}">{"".join(figures)}</div>'


def log(progress: Progress) -> str:
    """The latest lines of a run's log, newest first."""
    lines = [
        f"<li><time>{time.strftime('%H:%M:%S', time.localtime(at))}</time>{escape(text)}</li>"
        for at, text in reversed(progress.log[-200:])
    ]
    return f'<ol class="log">{"".join(lines)}</ol>'


def estimate(estimated: Estimate, free_memory: float, preset: str, num_frames: int) -> str:
    """Estimated time and memory, and how reliable they are."""
    seconds, memory = estimated.total, estimated.memory
    if estimated.runs:
        plural = "run" if estimated.runs == 1 else "runs"
        basis = f"calibrated by {estimated.runs} {plural} on this machine"
    else:
        basis = "a first guess, because no run has finished on this machine yet"
    tight = memory > 0.9 * free_memory
    room = f"{memory / 1e9:.1f} GB of memory" + (f" ({free_memory / 1e9:.1f} GB are free)" if tight else "")
    frames = "1 frame" if num_frames == 1 else f"{num_frames} frames"
    return (
        f'<div class="estimate{" tight" if tight else ""}"><b>About {roughly(seconds)}</b>'
        f"<span>for {frames} with “{escape(preset)}”, {room}</span><small>{basis}</small></div>"
    )


def numbers(pairs: Sequence[tuple[str, str]]) -> str:
    """Values with their names."""
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in pairs)
    return f'<div class="numbers">{cells}</div>'


def mean(values) -> float:
    """The mean of some values; NaN if there are none."""
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def viewer_frame(path: str | None) -> str:
    """The viewer's frame. Its address is relative, because a proxy may serve the page under a prefix."""
    if path is None:
        return (
            '<div class="viewer none"><p>Your 4D asset appears here while it is made. '
            "(This copy has no example run: assets/example_run is missing.)</p></div>"
        )
    return (
        f'<iframe class="viewer" src="{escape(path.lstrip("/"))}" title="4D viewer" '
        'allow="fullscreen; clipboard-write"></iframe>'
    )
