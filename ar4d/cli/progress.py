"""Shows a run's events as lines and bars on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ar4d import events
from ar4d.devices import resolve_device
from ar4d.events import (
    CanonicalChosen,
    ClipJudged,
    Event,
    ExpertChosen,
    FacingEstimated,
    Finished,
    FrameFinished,
    Planned,
    Stage,
    StageFinished,
    StageStarted,
    Step,
    Warned,
    drain,
)
from ar4d.reporting import OnProgress
from ar4d.runs import Run
from ar4d.settings import facing_words

T = TypeVar("T")


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} it/s" if task.speed else "", style="cyan")


def show(run: Run) -> None:
    """Works on a run and shows its progress on stderr; prints the run's folder to stdout."""
    if resolve_device(run.record.recipe.settings.device).type == "cuda":
        _announce_compilation(Console(file=sys.stderr))
    watch(run.work(), run.clip.num_frames)
    print(run.folder)


@contextmanager
def counted() -> Iterator[OnProgress]:
    """Shows on stderr, while the body runs, what the function that it yields is called with."""
    columns = [TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn()]
    with Progress(*columns, TimeRemainingColumn(), console=Console(file=sys.stderr), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(task: str, done: int, total: int) -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=total)
            bars.update(tasks[task], completed=done)

        yield on_progress


def watch(stream: Generator[Event, None, T], num_frames: int = 0) -> T:
    """Shows the events of a stream on stderr as they come; returns what the stream returns."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Speed(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        return drain(stream, _View(progress, num_frames).on)


def _announce_compilation(console: Console) -> None:
    """Explains why the first render on this machine takes minutes."""
    from ar4d.rendering.cuda import is_compiled, require_gsplat

    require_gsplat()
    if not is_compiled():
        console.print("compiling gsplat's kernels, once on this machine; this takes a few minutes")


class _View:
    """Turns events into output, one after the other."""

    def __init__(self, progress: Progress, num_frames: int) -> None:
        self.progress, self.num_frames = progress, num_frames
        self.titles: dict[Stage, str] = {}  # with the stage's number
        self.task: TaskID | None = None
        self.finished_steps = 0  # of the frames before the current one

    def on(self, event: Event) -> None:
        say = self.progress.console.print
        match event:
            case Planned():
                self.titles = {s.name: f"{k} {s.title}" for k, s in enumerate(event.stages, 1)}
            case Warned():
                say(f"[yellow]warning:[/] {event.message}")
            case ExpertChosen():
                say(f"expert for {event.role.replace('_', ' ')}: [bold]{event.name}[/] ({event.reason})")
            case CanonicalChosen():
                say(event.reason, highlight=False)
            case FacingEstimated():
                words, sure = facing_words(event.azimuth_deg), f"{event.probability:.0%} sure"
                say(f"the object faces {words} ({sure}); --facing overrides this estimate", highlight=False)
            case ClipJudged():
                say(f"[{'green' if event.accepted else 'red'}]seed {event.seed}:[/] {event.message}")
            case events.Progress():
                self._advance(event)
            case StageStarted():
                self.finished_steps = 0
                if self.task is not None:
                    self.progress.remove_task(self.task)
                self.task = self.progress.add_task(self._title(event.stage), total=event.num_steps, note="")
            case Step() if self.task is not None:
                frame = (
                    "" if event.frame_index is None else f"frame {event.frame_index + 1}/{self.num_frames}  "
                )
                psnr = "" if event.psnr != event.psnr else f"{event.psnr:.1f} dB"
                done = self.finished_steps + event.step
                self.progress.update(self.task, completed=done, note=frame + psnr)
                if event.frame_index is not None and event.step == event.num_steps:
                    self.finished_steps = done
            case FrameFinished():
                at = f"frame {event.frame_index + 1}/{self.num_frames}"
                quality = f"PSNR {event.psnr:5.2f} dB  SSIM {event.ssim:.4f}"
                say(f"{self._title(event.stage)}  {at}  {quality}  {event.seconds:.1f} s", highlight=False)
            case StageFinished():
                say(
                    f"[green]{self._title(event.stage)} finished[/] in {event.seconds:.1f} s", highlight=False
                )
            case Finished():
                psnr, ssim = (sum(values) / len(values) for values in (event.psnr, event.ssim))
                say(
                    f"[bold green]finished[/]  reference view: PSNR {psnr:.2f} dB  SSIM {ssim:.4f}",
                    highlight=False,
                )

    def _title(self, stage: Stage) -> str:
        return self.titles.get(stage, stage)

    def _advance(self, event: events.Progress) -> None:
        """Moves the bar of work that is not a stage: a download, an expert's sampling."""
        if self.task is None or self.progress.tasks[-1].description != event.task:
            if self.task is not None:
                self.progress.remove_task(self.task)
            self.task = self.progress.add_task(event.task, total=event.total or None, note="")
        self.progress.update(self.task, completed=event.done, total=event.total or None)
