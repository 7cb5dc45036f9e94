"""Visitors of a server who upload, watch, cancel, resume, reload and export, and try to see foreign runs."""

from __future__ import annotations

import json
import random
import re
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from benchmarks.support.api import Api, Refused, clip_bytes, token_of

CLIPS = 2  # different clips that are uploaded
ACTIONS = 20_000  # bound on what one visitor does
SETTINGS = {
    "size": 64,
    "pseudo_size": 32,
    "initialize.expert": "silhouette",
    "generate.expert": "silhouette",
    "initialize.gaussians": 600,
    "initialize.iterations": 40,
    "generate.iterations": 40,
    "refine.iterations": 60,
    "refine.warm_start": 20,
}
EXPORTS = (("ply", {}), ("spz", {}), ("cutout", {}), ("mp4", {"size": 64, "orbit": False}))
ALIVE = ("queued", "running")
BROKEN = ("Traceback", "An error in this program", "Internal Server Error", "None")
"""What an answer must not contain."""


@dataclass
class Notes:
    """What all visitors have seen together."""

    done: Counter[str] = field(default_factory=Counter)
    """Actions by name."""
    sentences: Counter[str] = field(default_factory=Counter)
    """The server's refusals, without numbers and names."""
    problems: list[str] = field(default_factory=list)
    """What must not happen."""
    foreign_tries: int = 0
    foreign_seen: int = 0

    def refused(self, action: str, text: str) -> None:
        """Notes a refusal."""
        self.sentences[re.sub(r"\d+(\.\d+)?", "N", text)[:160]] += 1
        if not text or text in BROKEN or any(word in text for word in BROKEN[:3]):
            self.problems.append(f"{action} was answered by {text[:200]!r}.")


@dataclass
class Seen:
    """A run as its visitor knows it."""

    id: str
    state: str = "queued"
    frames: int = 0


class Visitor(threading.Thread):
    """One visitor with a token of its own."""

    def __init__(self, number: int, address: str, folder: Path, notes: Notes, others: list[Visitor]) -> None:
        """
        Args:
            others: all visitors, this one included, whose runs it must not see.
        """
        super().__init__(daemon=True, name=f"visitor-{number}")
        self.token, self.runs = token_of(number), dict[str, Seen]()
        self.api = Api(address)
        self.stop = threading.Event()
        self._random = random.Random(number)
        self._clips = [clip_bytes(folder, seed) for seed in range(CLIPS)]
        self._notes, self._others = notes, others

    def run(self) -> None:
        """Acts until it is stopped."""
        weights = {self.lift: 3, self.watch: 4, self.cancel: 1, self.resume: 3, self.reload: 2,
                   self.export: 2, self.look_at_foreign: 1}  # fmt: skip
        for _ in range(ACTIONS):
            if self.stop.wait(self._random.uniform(0.1, 0.8)):
                break
            self.attempt(*self._random.choices(list(weights), list(weights.values())))
        self.api.close()

    def attempt(self, action: Any) -> bool:
        """Does one thing; returns whether the server did it. A server that is away is none's fault."""
        name = getattr(action, "__name__", "resume")
        try:
            action()
        except Refused as refusal:
            self._notes.refused(name, str(refusal))
        except (httpx.TransportError, OSError, WebSocketException, TimeoutError):
            self._notes.done["met no server"] += 1
            time.sleep(0.5)
        else:
            self._notes.done[name] += 1
            return True
        return False

    # --- what it does -----------------------------------------------------------------------------

    def lift(self) -> None:
        """Uploads a clip and starts a run, unless enough runs are under way."""
        if sum(run.state in ALIVE for run in self.runs.values()) < 3:
            seed = self._random.randrange(CLIPS)
            self.begin(f"disk-{seed}.gif", self._clips[seed])

    def begin(self, name: str, content: bytes) -> str:
        """Uploads a clip and starts a run; returns its id."""
        video = self.api.upload(name, content)
        made = self.api.call("lift", video, {"num_frames": 4}, "cpu", SETTINGS, self.token)
        self.runs[made["run"]] = Seen(made["run"])
        return made["run"]

    def watch(self) -> None:
        """Watches a run for a moment, as its viewer does."""
        run = self._any()
        if run is None:
            return
        path = self._status(run)["viewer"]
        with connect(f"{self.api.address.replace('http', 'ws')}{path}stream", max_size=64 << 20) as socket:
            state = json.loads(socket.recv(timeout=30))["state"]
            if not state["framesDone"]:
                return
            stage = next(s["name"] for s in state["stages"] if s["limit"] is not None)
            socket.send(json.dumps({"id": 7, "want": "splats", "stage": stage, "position": 0}))
            while isinstance(answer := socket.recv(timeout=30), str):
                if "error" in json.loads(answer):
                    raise Refused(json.loads(answer)["error"])
            if struct.unpack_from("<I", answer)[0] != 7 or len(answer) <= 8:
                self._notes.problems.append("A viewer's answer holds no splats.")

    def cancel(self) -> None:
        """Cancels a run that is under way."""
        if run := self._any(*ALIVE):
            self.api.call("cancel", run.id, self.token)

    def resume(self) -> None:
        """Resumes a run that was cancelled or has failed."""
        if run := self._any("stopped", "failed"):
            self.api.call("resume", run.id, self.token)
            self._status(run)

    def reload(self) -> None:
        """Loads the page again and asks for all runs."""
        if self.api.get("/").status_code != 200:
            self._notes.problems.append("The page did not load.")
        for run in list(self.runs.values()):
            self._status(run)

    def export(self) -> None:
        """Exports a finished run and downloads the file."""
        if run := self._any("finished"):
            format, options = self._random.choice(EXPORTS)
            if len(self.api.download(self.api.call("export", run.id, self.token, format, options))) < 100:
                self._notes.problems.append(f"The file of {format} is empty.")

    def look_at_foreign(self) -> None:
        """Asks for a run of another visitor."""
        foreign = [run for other in self._others if other is not self for run in list(other.runs)]
        if not foreign:
            return
        self._notes.foreign_tries += 1
        try:
            self.api.call("status", self._random.choice(foreign), self.token)
        except Refused as refusal:
            if "no such run" not in str(refusal):
                raise
        else:
            self._notes.foreign_seen += 1

    # --- internals --------------------------------------------------------------------------------

    def _any(self, *states: str) -> Seen | None:
        runs = [run for run in self.runs.values() if not states or run.state in states]
        return self._random.choice(runs) if runs else None

    def _status(self, run: Seen) -> dict[str, Any]:
        status = self.api.call("status", run.id, self.token)
        if status["frames_done"] < run.frames:
            self._notes.problems.append(
                f"Run {run.id} had {run.frames} finished frames and now has {status['frames_done']}."
            )
        run.state, run.frames = status["state"], max(run.frames, status["frames_done"])
        return status
