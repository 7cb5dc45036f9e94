"""What the package `spaces` does on ZeroGPU: a fork for each call, pickled arguments and values."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import gradio as gr
from gradio.context import LocalContext

_context = multiprocessing.get_context("fork")


class FakeSpaces(ModuleType):
    """The module, and a record of its calls.

    Attributes:
        durations: of each call.
        requests: the request of each call, which the real one charges.
        values: what was yielded, by call.
        lose: called in the forked process with the number of the call and of the value; true loses the call.
        refuse: raised in place of a call.
    """

    def __init__(self) -> None:
        super().__init__("spaces")
        self.durations: list[float] = []
        self.requests: list[Any] = []
        self.values: list[list[Any]] = []
        self.lose: Callable[[int, int], bool] = lambda call, value: False
        self.refuse: Exception | None = None

    def GPU(self, duration: Callable[..., float]) -> Callable:  # noqa: N802 (the real one's name)
        """Decorates a generator function."""

        def decorate(task: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
            def call(*arguments: Any) -> Iterator[Any]:
                self.durations.append(duration(*arguments))
                self.requests.append(LocalContext.request.get(None))
                if self.refuse is not None:
                    raise self.refuse
                yield from self._forked(task, pickle.dumps(arguments))

            return call

        return decorate

    def _forked(self, task: Callable[..., Iterator[Any]], arguments: bytes) -> Iterator[Any]:
        number, received = len(self.values), []
        self.values.append(received)
        ours, theirs = _context.Pipe(duplex=False)
        stop = _context.Event()
        process = _context.Process(
            target=self._work, args=(task, arguments, theirs, stop, number), daemon=True
        )
        process.start()
        theirs.close()
        try:
            while True:
                try:
                    kind, value = pickle.loads(ours.recv_bytes())
                except EOFError:
                    raise gr.Error("GPU task aborted", title="ZeroGPU worker error") from None
                if kind == "end":
                    return
                if kind == "error":
                    raise gr.Error(value, title="ZeroGPU worker error")
                received.append(value)
                yield value
        except GeneratorExit:
            stop.set()
            raise
        finally:
            process.join(60)

    def _work(self, task: Callable, arguments: bytes, pipe: Any, stop: Any, call: int) -> None:
        def iterate() -> None:
            values = task(*pickle.loads(arguments))
            try:
                for number, value in enumerate(values):
                    if stop.is_set():
                        values.close()
                        break
                    if self.lose(call, number):
                        os.kill(os.getpid(), signal.SIGKILL)
                    pipe.send_bytes(pickle.dumps(("value", value)))
            except Exception as error:  # noqa: BLE001 (the real one forwards the name alone)
                pipe.send_bytes(pickle.dumps(("error", type(error).__name__)))

        with ThreadPoolExecutor() as executor:  # the real one does not use the main thread
            executor.submit(iterate)
        pipe.send_bytes(pickle.dumps(("end", None)))
        os._exit(0)


def installed(monkeypatch: Any) -> FakeSpaces:
    """Puts the fake in the place of the package, on a ZeroGPU Space."""
    fake = FakeSpaces()
    monkeypatch.setitem(sys.modules, "spaces", fake)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    return fake
