"""A folder on this machine, served as the model hub serves repositories: hashes, ranges, 404s."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import huggingface_hub.constants as hub
import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Mirror:
    """`folder/owner/name/…` holds what the hub has.

    Attributes:
        requests: paths of the bodies that were sent, with the byte at which each began.
        break_after: bytes after which the next body breaks off, once.
        spoil: names of files whose bodies arrive with a wrong first byte.
        refuse: status and error code of the answer to everything, if set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[tuple[str, int]] = []
        self.break_after: int | None = None
        self.spoil: set[str] = set()
        self.refuse: tuple[int, str] | None = None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _handler(mirror: Mirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", unquote(self.path))
            path = mirror.folder / match[1] / match[2] if match else None
            if mirror.refuse is not None or path is None or not path.is_file():
                status, code = mirror.refuse or (404, "EntryNotFound")
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = path.read_bytes()
            start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if body:
                self._send(path.name, content, start)

        def _send(self, name: str, content: bytes, start: int) -> None:
            mirror.requests.append((name, start))
            if name in mirror.spoil:
                content = bytes([content[0] ^ 1]) + content[1:]
            if mirror.break_after is not None:
                content, mirror.break_after = content[: start + mirror.break_after], None
                self.wfile.write(content[start:])
                self.close_connection = True
                return
            self.wfile.write(content[start:])

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror of `tmp_path/hub`, in the hub's place, and an empty cache."""
    served = Mirror(tmp_path / "hub")
    monkeypatch.setattr(hub, "ENDPOINT", served.endpoint)
    template = served.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(hub, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "DOWNLOAD_CHUNK_SIZE", 65536)  # many steps even for small files
    monkeypatch.delenv("AR4D_WEIGHTS", raising=False)
    yield served
    served.close()
