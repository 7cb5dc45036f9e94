"""The page's named endpoints over plain HTTP: what a client of any kind sends, well formed or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx


class Refused(Exception):
    """The server's answer to a call that it does not grant."""


class Api:
    """One client of a server."""

    def __init__(self, address: str, seconds: float = 60.0) -> None:
        """
        Args:
            address: of the page.
            seconds: after which a request is given up.
        """
        self.address = address.rstrip("/")
        self._client = httpx.Client(timeout=seconds)

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def get(self, path: str) -> httpx.Response:
        """The answer to a plain request."""
        return self._client.get(f"{self.address}/{path.lstrip('/')}")

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """Uploads a file; returns what /lift takes as its video.

        Raises:
            Refused: the server does not take it.
        """
        answer = self._client.post(f"{self.address}/gradio_api/upload", files={"files": (name, content)})
        if answer.status_code != 200:
            raise Refused(answer.text)
        (path,) = answer.json()
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def call(self, name: str, *values: Any) -> Any:
        """Calls an endpoint; returns its answer.

        Raises:
            Refused: the server answers with an error.
        """
        return self.post(name, json.dumps({"data": list(values)}).encode())

    def post(self, name: str, body: bytes) -> Any:
        """Calls an endpoint with a body that may be anything; as `call`."""
        path = f"{self.address}/gradio_api/call/{name}"
        answer = self._client.post(path, content=body, headers={"Content-Type": "application/json"})
        if answer.status_code != 200:
            raise Refused(answer.text)
        with self._client.stream("GET", f"{path}/{answer.json()['event_id']}") as stream:
            for event, data in _messages(stream.iter_lines()):
                if event == "complete":
                    return data[0]
                if event == "error":
                    raise Refused(str(data.get("error") if isinstance(data, dict) else data))
        raise Refused("The stream ended without an answer.")

    def download(self, answer: dict[str, Any]) -> bytes:
        """The file that /export made."""
        content = self._client.get(answer["url"]) if "url" in answer else None
        if content is None or content.status_code != 200:
            content = self.get(f"gradio_api/file={answer['path']}")
        content.raise_for_status()
        return content.content


def token_of(number: int) -> str:
    """A visitor's token that is the same in every run of a benchmark."""
    return f"{number:02d}" + "t" * 41


def _messages(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Server-sent events with their data."""
    event = ""
    for line in lines:
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))


def clip_bytes(folder: Path, seed: int) -> bytes:
    """A small GIF of a disk that moves; the same bytes for the same seed."""
    import numpy as np
    from PIL import Image, ImageDraw

    random, pictures = np.random.default_rng(seed), []
    color = tuple(int(value) for value in random.integers(20, 200, 3))
    for k in range(6):
        picture = Image.new("RGB", (96, 80), "white")
        x, y = 30 + 5 * k, 40 + 3 * (k % 2)
        ImageDraw.Draw(picture).ellipse((x - 16, y - 16, x + 16, y + 16), fill=color)
        pictures.append(picture)
    path = folder / f"disk-{seed}.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=120, loop=0)
    return path.read_bytes()
