"""`python app.py` as a process of its own, which may be killed and started again on the same folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).parents[2]


class ServerProcess:
    """A server on the loopback device. Attributes: `address`, `starts` (seconds of each start)."""

    def __init__(self, runs: Path, log: Path, **limits: str) -> None:
        """
        Args:
            runs: folder of the runs.
            log: file that the server's log is appended to.
            limits: environment variables of the server.
        """
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self.starts: list[float] = []
        self._runs, self._log, self._environment = runs, log, os.environ | limits
        self._process: subprocess.Popen | None = None

    def start(self, seconds: float = 300.0) -> None:
        """Starts the server and waits until it takes work.

        Raises:
            TimeoutError: it does not answer in time.
        """
        command = [sys.executable, "app.py", "--port", str(self._port), "--runs", str(self._runs)]
        begin = time.perf_counter()
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        while time.perf_counter() < begin + seconds:
            try:
                if httpx.get(f"{self.address}/healthz", timeout=30).status_code == 200:
                    self.starts.append(time.perf_counter() - begin)
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise TimeoutError(f"The server did not answer within {seconds:g} s.")

    @property
    def process(self) -> psutil.Process:
        """The server's process.

        Raises:
            psutil.NoSuchProcess: it is not running.
        """
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        return [child for child in self.process.children() if "spawn_main" in " ".join(child.cmdline())]

    def kill(self) -> None:
        """Kills the server alone, as the kernel would; its workers notice it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def stop(self, seconds: float = 60.0) -> float:
        """Sends SIGTERM; returns the seconds until the process has ended, which is killed after `seconds`."""
        assert self._process is not None
        begin = time.perf_counter()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return time.perf_counter() - begin
