"""A process that works for the server: it may die without taking the server along.

The server sends one task at a time, may send STOP while it works, and gets back reports, then one
result. A worker whose server is gone stops by itself.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection
from typing import Any, Protocol

from ar4d.errors import UserError
from ar4d.events import Event, from_json, to_json

STOP = "stop"
PATIENCE = 20.0  # seconds that a task gets to stop by itself
_POLL = 0.25  # seconds between looks at whether the process lives

_log = logging.getLogger(__name__)
_context = multiprocessing.get_context("spawn")

Report = Callable[[Event], None]


class Task(Protocol):
    """What a worker does. It is pickled, so it holds plain values and names only."""

    def work(self, report: Report, stopped: threading.Event) -> Any:
        """Does it, saying how far it is; returns early once `stopped` is set.

        Raises:
            UserError: it cannot be done; the sentence is passed on.
        """
        ...


class WorkerDied(Exception):
    """The process ended in the middle of a task, or had to be ended."""

    def __init__(self, exit_code: int | None, asked: bool) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code, self.asked = exit_code, asked

    def __str__(self) -> str:
        code = self.exit_code or 0
        if -code == signal.SIGKILL:
            return "The worker process was killed, most likely because the machine ran out of memory."
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"The worker process died ({how})."


class TaskFailed(Exception):
    """The task raised something that is not meant for people; the traceback is in the server's log."""


class Worker:
    """The server's handle on one process, which is started when needed and again when it died."""

    def __init__(self, name: str, environment: dict[str, str] | None = None, warm: bool = False) -> None:
        """
        Args:
            environment: variables of the process, set before it imports anything heavy.
            warm: whether the process loads torch and compiles the kernels before its first task.
        """
        self.name = name
        self._arguments = (environment or {}, warm)
        self._process: Any = None
        self._connection: Connection | None = None
        self._busy = threading.Lock()
        self._sending = threading.Lock()
        self._stop_by: float | None = None
        self._closed = False

    def start(self) -> None:
        """Starts the process if there is none, without waiting for it to be ready."""
        with self._sending:
            if self._process is not None and self._process.is_alive():
                return
            ours, theirs = _context.Pipe()
            process = _context.Process(
                target=_serve, args=(theirs, *self._arguments), name=f"ar4d-{self.name}", daemon=True
            )
            process.start()
            theirs.close()  # else its death would not close the pipe
            self._process, self._connection = process, ours

    def run(self, task: Task) -> Generator[Event, None, Any]:
        """Yields a task's events; returns its result. One task at a time: others wait.

        Raises:
            UserError: the task's own.
            TaskFailed: an error in the task.
            WorkerDied: the process is gone; the next task gets a new one.
        """
        with self._busy:
            self.start()
            assert self._connection is not None
            self._stop_by = None
            with self._sending:
                self._connection.send(task)
            while True:
                kind, value = self._receive(self._connection)
                match kind:
                    case "event":
                        yield from_json(value)
                    case "result":
                        return value
                    case "sorry":
                        raise UserError(value)
                    case _:
                        raise TaskFailed(value)

    def stop(self) -> None:
        """Asks the task at work to stop; one that does not react is ended with its process."""
        self._stop_by = time.monotonic() + PATIENCE
        with self._sending, contextlib.suppress(OSError):  # it died: `run` finds out
            if self._connection is not None:
                self._connection.send(STOP)

    def close(self) -> None:
        """Lets the process stop what it does, and ends it if that takes long."""
        self._closed = True
        if self._process is None:
            return
        assert self._connection is not None
        self._connection.close()
        self._process.join(PATIENCE)
        self._end()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def _receive(self, connection: Connection) -> tuple[str, Any]:
        try:
            while not connection.poll(_POLL):
                overdue = self._stop_by is not None and time.monotonic() > self._stop_by
                if overdue or not self._process.is_alive():
                    if not overdue and connection.poll():
                        break  # its last words
                    raise EOFError
            return connection.recv()
        except (EOFError, OSError) as error:
            asked = self._stop_by is not None
            if not self._closed:  # else `close` sees to its end
                self._end()
            raise WorkerDied(self._process.exitcode, asked) from error

    def _end(self) -> None:
        for end in (self._process.terminate, self._process.kill):
            if self._process.is_alive():
                end()
                self._process.join(3)


def _serve(connection: Connection, environment: dict[str, str], warm: bool) -> None:
    """The process's own main function."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's business
    tasks: queue.SimpleQueue = queue.SimpleQueue()
    working = threading.Event()
    threading.Thread(target=_listen, args=(connection, tasks, working), daemon=True).start()
    if warm:
        from ar4d.warmup import warm_up

        warm_up()
    while True:
        task, stopped = tasks.get()
        _do(task, stopped, connection)
        working.clear()


def _listen(connection: Connection, tasks: queue.SimpleQueue, working: threading.Event) -> None:
    stopped = threading.Event()
    with contextlib.suppress(EOFError, OSError):
        while True:
            message = connection.recv()
            if message == STOP:
                stopped.set()
            else:
                stopped = threading.Event()
                working.set()
                tasks.put((message, stopped))
    stopped.set()  # the server is gone: what is at work gets the time to leave its run whole
    end = time.monotonic() + PATIENCE
    while working.is_set() and time.monotonic() < end:
        time.sleep(0.05)
    os._exit(0)


def _do(task: Task, stopped: threading.Event, connection: Connection) -> None:
    def send(kind: str, value: Any) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more: `stopped` is set then
            connection.send((kind, value))

    try:
        send("result", task.work(lambda event: send("event", to_json(event)), stopped))
    except UserError as error:
        send("sorry", str(error))
    except MemoryError:
        send("sorry", "There is not enough memory for this; choose a smaller size or fewer Gaussians.")
    except Exception as error:  # noqa: BLE001 (the server passes it on)
        _log.exception("A task failed")
        send("failed", "".join(traceback.format_exception_only(error)).strip())
