"""A worker process of the server, whose death does not end the server.

The server sends one task at a time and may send STOP during it. It receives the task's events, then one
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
from collections.abc import Callable, Generator, Iterator
from multiprocessing.connection import Connection
from typing import Any, Protocol

from app import logs
from ar4d.errors import UserError
from ar4d.events import Event, from_json, to_json

STOP = "stop"
STOP_SECONDS = 20.0  # time that a task gets to stop by itself
_IDLE_SECONDS = 1.0  # time that a process without a task gets to end; it may still be starting
_POLL = 0.25  # seconds between checks that the process is alive

_log = logging.getLogger(__name__)
_context = multiprocessing.get_context("spawn")

Report = Callable[[Event], None]


class Task(Protocol):
    """Work for a worker. It is pickled, so it holds plain values and names only."""

    def work(self, report: Report, stopped: threading.Event) -> Any:
        """Does the work and reports its events; returns early once `stopped` is set.

        Raises:
            UserError: the work cannot be done; the message reaches the visitor.
        """
        ...


class WorkerDied(Exception):
    """The process ended during a task, or had to be killed."""

    def __init__(self, exit_code: int | None, requested: bool) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code, self.requested = exit_code, requested

    def __str__(self) -> str:
        code = self.exit_code or 0
        if -code == signal.SIGKILL:
            return "The worker process was killed, most likely because the machine ran out of memory."
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"The worker process died ({how})."


class TaskFailed(Exception):
    """The task raised an unexpected error; the traceback is in the server's log."""


class Worker:
    """The server's handle on one process, which is started when needed and restarted after it died."""

    def __init__(
        self,
        name: str,
        environment: dict[str, str] | None = None,
        warm: bool = False,
        memory_mb: int | None = None,
    ) -> None:
        """
        Args:
            environment: variables of the process, set before it imports heavy modules.
            warm: load torch and compile the kernels before the first task.
            memory_mb: limit of the process's memory; a task that needs more fails.
        """
        self.name = name
        self._arguments = (environment or {}, warm, memory_mb)
        self._process: Any = None
        self._connection: Connection | None = None
        self._busy = threading.Lock()
        self._sending = threading.Lock()
        self._stop_by: float | None = None
        self._closed = False

    def start(self) -> None:
        """Starts the process if there is none; does not wait until it is ready."""
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

    def run(self, task: Task, seconds: float | None = None) -> Generator[Event, None, Any]:
        """Yields a task's events; returns its result. One task at a time: others wait.

        Args:
            task: what to do.
            seconds: after which the process is killed; by default it may take as long as it needs.

        Raises:
            UserError: the task raised it.
            TaskFailed: the task raised another error.
            WorkerDied: the process ended; the next task gets a new one.
        """
        with self._busy:
            self.start()
            assert self._connection is not None
            self._stop_by = None if seconds is None else time.monotonic() + seconds
            with self._sending:
                self._connection.send(task)
            while True:
                kind, value = self._receive(self._connection)
                match kind:
                    case "event":
                        yield from_json(value)
                    case "result":
                        return value
                    case "user_error":
                        raise UserError(value)
                    case _:
                        raise TaskFailed(value)

    def stop(self) -> None:
        """Asks the current task to stop; if it does not react in time, its process is killed."""
        self._stop_by = time.monotonic() + STOP_SECONDS
        with self._sending, contextlib.suppress(OSError):  # it died, which `run` detects
            if self._connection is not None:
                self._connection.send(STOP)

    def close(self, seconds: float = STOP_SECONDS) -> None:
        """Asks the process to stop, and kills it if that takes too long.

        Args:
            seconds: that a task at work gets to complete its files.
        """
        self.release()
        if self._process is None:
            return
        self._process.join(seconds if self._busy.locked() else min(seconds, _IDLE_SECONDS))
        self._end()

    def release(self) -> None:
        """Asks the process to stop, and does not wait for it."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def _receive(self, connection: Connection) -> tuple[str, Any]:
        try:
            while not connection.poll(_POLL):
                overdue = self._stop_by is not None and time.monotonic() > self._stop_by
                if overdue or not self._process.is_alive():
                    if not overdue and connection.poll():
                        break  # the last message it sent
                    raise EOFError
            return connection.recv()
        except (EOFError, OSError) as error:
            requested = self._stop_by is not None
            if not self._closed:  # else `close` ends it
                self._end()
            raise WorkerDied(self._process.exitcode, requested) from error

    def _end(self) -> None:
        for end in (self._process.terminate, self._process.kill):
            if self._process.is_alive():
                end()
                self._process.join(3)


@contextlib.contextmanager
def readable_failures(seconds: float) -> Iterator[None]:
    """Turns a worker's failure at a short task into a sentence for the visitor.

    Args:
        seconds: that the task was given.
    """
    try:
        yield
    except WorkerDied as error:
        if error.requested:
            raise UserError(
                f"This took longer than the {seconds:.0f} s that this server allows; "
                "try a shorter or smaller clip."
            ) from error
        raise UserError(f"{error} Try a shorter or smaller clip.") from error
    except TaskFailed as error:
        raise UserError(f"An error in this program: {error}. Please report it.") from error


def _serve(connection: Connection, environment: dict[str, str], warm: bool, memory_mb: int | None) -> None:
    """Main function of the process."""
    os.environ.update(environment)
    logs.configure()
    if memory_mb is not None:
        _limit_memory(memory_mb)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C
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


def _limit_memory(megabytes: int) -> None:
    """Bounds what the process may allocate, so that a hostile file cannot take the machine's memory."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = megabytes * 10**6
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


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
    stopped.set()  # the server is gone: the current task gets time to complete its files
    end = time.monotonic() + STOP_SECONDS
    while working.is_set() and time.monotonic() < end:
        time.sleep(0.05)
    os._exit(0)


def _do(task: Task, stopped: threading.Event, connection: Connection) -> None:
    def send(kind: str, value: Any) -> None:
        with contextlib.suppress(OSError):  # the server is gone, and `stopped` is set
            connection.send((kind, value))

    try:
        with logs.about(getattr(task, "run_id", "")):
            send("result", task.work(lambda event: send("event", to_json(event)), stopped))
    except UserError as error:
        send("user_error", str(error))
    except MemoryError:
        send("user_error", "There is not enough memory for this; choose a smaller size or fewer Gaussians.")
    except Exception as error:  # noqa: BLE001 (the server reports it)
        _log.exception("A task failed")
        send("failed", "".join(traceback.format_exception_only(error)).strip())
