"""Pieces of the page as HTML: how far a run is, its curves, its numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from html import escape

from app.runs.estimates import Estimate
from app.runs.progress import Progress
from app.runs.queue import Job, State
from app.runs.storage import discreet

STATES: dict[State, str] = {
    "queued": "Waiting",
    "running": "Working",
    "stopped": "Stopped",
    "failed": "Stopped by an error",
    "finished": "Finished",
}


def spoken_seconds(seconds: float) -> str:
    """A length of time, as precise as is worth saying."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def roughly(seconds: float) -> str:
    """What is guessed: nobody wants its seconds to jump about."""
    return (
        spoken_seconds(seconds)
        if seconds < 100
        else spoken_seconds(60 * round(seconds / 60)).removesuffix(" 0 s")
    )


def notice(text: str, kind: str = "plain") -> str:
    """One sentence in a frame; kind: plain, warning or error."""
    return f'<p class="notice {kind}">{escape(text)}</p>' if text else ""


def problem(error: Exception, kind: str = "error") -> str:
    """What went wrong, without the server's own folders."""
    return notice(discreet(str(error)), kind)


def notices(texts: Sequence[str], kind: str = "warning") -> str:
    return "".join(notice(text, kind) for text in texts)


def panel(job: Job, state: State, position: int, seconds: float | None, expected: Mapping[str, float]) -> str:
    """Stage and frame, how long it will take, what is being done.

    Args:
        state: of the job, as it was read once for this picture of it.
        position: runs before it in the queue.
        seconds: until it is whole, or until it begins if it is queued.
        expected: seconds of each stage, by which the bars are as long as they take.
    """
    progress = job.progress
    title, aside = _headline(progress, state, position, seconds)
    return (
        f'<div class="panel {state}" data-state="{state}" data-frames="{progress.frames_done}">'
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
        return turn, f"begins in about {roughly(seconds)}" if seconds else "begins in a moment"
    if state != "running":
        if state == "finished":
            return STATES[state], f"{mean(progress.psnr.values()):.2f} dB at the reference view"
        return STATES[state], f"{progress.frames_done} of {progress.num_frames} frames are kept"
    left = f"about {roughly(seconds)} left" if seconds else ""
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
    """One cell a frame: empty, at work, or coloured by its PSNR."""
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
    facts += [f"expert: {', '.join(experts)}"] if experts else []
    facts += [progress.facing] if progress.facing else []
    return "".join(f"<span>{escape(fact)}</span>" for fact in facts)


def pictures(pairs: Sequence[tuple[str, str | None]], css: str = "pictures") -> str:
    """Pictures side by side, in squares that keep their place while they are empty."""
    figures = []
    for caption, address in pairs:
        image = f'<img src="{address}" alt="{escape(caption)}">' if address else "<div></div>"
        figures.append(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")
    return f'<div class="{css}">{"".join(figures)}</div>'


def log(progress: Progress) -> str:
    """The last lines, the newest first."""
    lines = [
        f"<li><time>{time.strftime('%H:%M:%S', time.localtime(at))}</time>{escape(text)}</li>"
        for at, text in reversed(progress.log[-200:])
    ]
    return f'<ol class="log">{"".join(lines)}</ol>'


def estimate(estimated: Estimate, free_memory: float, preset: str, num_frames: int) -> str:
    """Time and memory, and what the figures are worth."""
    seconds, memory = estimated.total, estimated.memory
    if estimated.runs:
        plural = "run" if estimated.runs == 1 else "runs"
        basis = f"learnt from {estimated.runs} {plural} on this machine"
    else:
        basis = "a first guess: no run has finished on this machine yet"
    tight = memory > 0.9 * free_memory
    room = f"{memory / 1e9:.1f} GB of memory" + (f" ({free_memory / 1e9:.1f} GB are free)" if tight else "")
    frames = "1 frame" if num_frames == 1 else f"{num_frames} frames"
    return (
        f'<div class="estimate{" tight" if tight else ""}"><b>About {roughly(seconds)}</b>'
        f"<span>for {frames} with “{escape(preset)}”, {room}</span><small>{basis}</small></div>"
    )


def numbers(pairs: Sequence[tuple[str, str]]) -> str:
    """Figures with what they count."""
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in pairs)
    return f'<div class="numbers">{cells}</div>'


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values) if values else math.nan
