"""Malformed uploads and calls, the same ones for the same seed: cut short, mislabelled, of wrong types."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from PIL import Image

from benchmarks.support.api import Api, Refused

SUFFIXES = (".mp4", ".gif", ".png", ".webp", ".jpg", ".webm", ".mov", ".avif", ".heic", ".zip", ".txt", "")
ENDPOINTS = ("lift", "status", "cancel", "resume", "export")
PATHS = (
    "viewer/{}/",
    "share/{}",
    "example/{}",
    "result/{}/exports",
    "gradio_api/file={}",
    "examples/{}",
    "{}",
)
TOKEN = "m" * 43
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**9, 2**63, 1e308, "", "x", "../../etc/passwd", "A" * 5000, "\0", "<script>",
    [], [[]], {}, {"path": "/etc/passwd"}, {"path": 5}, {"a": {"b": {}}}, "٣", "nan",
)  # fmt: skip
SETTINGS = ("size", "seed", "generate.iterations", "initialize.gaussians", "refine.enabled", "facing", "kind",
            "generate", "__class__", "initialize.expert", "device", "")  # fmt: skip
CLIP = ("num_frames", "start", "end", "fps", "background", "corrections", "colour")


@dataclass(frozen=True)
class Case:
    """One malformed request."""

    name: str
    send: Callable[[Api], Any]


def cases(count: int, seed: int = 0) -> list[Case]:
    """So many malformed requests; a quarter of them uploads."""
    chance = random.Random(seed)
    whole = _files()
    makers = (_upload, _endpoint, _body, _path)
    return [makers[k % len(makers)](chance, whole) for k in range(count)]


def _upload(chance: random.Random, whole: dict[str, bytes]) -> Case:
    kind = chance.choice(sorted(whole))
    content = bytearray(whole[kind])
    harm = chance.choice(("cut short", "flipped", "mislabelled", "noise", "empty", "huge size"))
    suffix = kind
    if harm == "cut short":
        content = content[: chance.randrange(1, len(content))]
    elif harm == "flipped":
        for _ in range(chance.randrange(1, 40)):
            content[chance.randrange(len(content))] = chance.randrange(256)
    elif harm == "mislabelled":
        suffix = chance.choice([s for s in SUFFIXES if s != kind])
    elif harm == "noise":
        content = bytearray(chance.randbytes(chance.randrange(1, 4000)))
    elif harm == "empty":
        content = bytearray()
    else:
        suffix, content = ".png", bytearray(_png_that_claims(chance.choice((10**5, 10**6, 2**31 - 1))))
    name, data = f"clip{suffix}", bytes(content)

    def send(api: Api) -> Any:
        video = api.upload(name, data)
        changes = {"size": 64, "generate.iterations": 1, "initialize.iterations": 1, "refine.enabled": False}
        made = api.call("lift", video, {"num_frames": 2}, "cpu", changes, TOKEN)
        return api.call("cancel", made["run"], TOKEN)  # it could be read after all

    return Case(f"upload of {kind}, {harm}, as {name}", send)


def _endpoint(chance: random.Random, _: Any) -> Case:
    name = chance.choice(ENDPOINTS)
    values = [chance.choice(VALUES) for _ in range(chance.randrange(0, 7))]
    if chance.random() < 0.4 and name == "lift":
        clip = {chance.choice(CLIP): chance.choice(VALUES) for _ in range(2)}
        settings = {chance.choice(SETTINGS): chance.choice(VALUES) for _ in range(2)}
        values = [chance.choice(VALUES), clip, chance.choice(("cpu", "", "x", 5)), settings, TOKEN]
    if chance.random() < 0.4 and name != "lift":
        values = [chance.choice(("A" * 22, "x", None)), TOKEN, *values[:2]]
    return Case(f"{name} with {str(values)[:100]}", lambda api: api.call(name, *values))


def _body(chance: random.Random, _: Any) -> Case:
    name = chance.choice((*ENDPOINTS, "no_such_endpoint"))
    body = chance.choice(
        (
            b"",
            b"{",
            b"null",
            b"[]",
            b'{"data": null}',
            b'{"data": 5}',
            b'{"data": {"0": 1}}',
            b'{"data": [NaN]}',
            b"\xff\xfe\x00",
            b'{"data": [' + b"[" * 200 + b"]" * 200 + b"]}",
            json.dumps({"data": ["A" * chance.randrange(10**5)]}).encode(),
            chance.randbytes(chance.randrange(1, 300)),
        )
    )
    return Case(f"{name} with the body {body[:40]!r}", lambda api: api.post(name, body))


def _path(chance: random.Random, _: Any) -> Case:
    what = chance.choice(
        ("..%2f..%2fetc%2fpasswd", "A" * 22, "A" * 32, "%00", "x" * 3000, "a/b/c", "~", "%ff")
    )
    path = chance.choice(PATHS).format(what)

    def send(api: Api) -> Any:
        answer = api.get(path)
        if answer.status_code >= 400:
            raise Refused(answer.text)
        return answer.status_code

    return Case(f"GET {path[:60]}", send)


def _png_that_claims(side: int) -> bytes:
    """A picture that says it has `side` × `side` pixels, with next to no data."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")


def _files() -> dict[str, bytes]:
    """Whole files of several kinds, by suffix."""
    import imageio.v3 as iio
    import numpy as np

    pictures = [Image.new("RGB", (48, 40), "white") for _ in range(3)]
    for k, picture in enumerate(pictures):
        picture.paste((200, 40, 40), (10 + 3 * k, 10, 30 + 3 * k, 30))
    files = {}
    for suffix, format in ((".gif", "GIF"), (".webp", "WEBP"), (".png", "PNG"), (".jpg", "JPEG")):
        file = io.BytesIO()
        several = {"save_all": True, "append_images": pictures[1:]} if format in ("GIF", "WEBP") else {}
        pictures[0].save(file, format, **several)
        files[suffix] = file.getvalue()
    frames = np.stack([np.asarray(picture) for picture in pictures])
    files[".mp4"] = iio.imwrite("<bytes>", frames, extension=".mp4", plugin="pyav", codec="h264", fps=8)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for k in range(3):
            file.writestr(f"{k}.png", files[".png"])
    files[".zip"] = archive.getvalue()
    return files


@dataclass(frozen=True)
class Answer:
    """What became of a case."""

    case: str
    seconds: float
    text: str
    problem: str
    """Empty if it was answered by a sentence in time."""


def judge(case: Case, api: Api, most_seconds: float, clock: Callable[[], float]) -> Answer:
    """Sends a case and judges the answer."""
    begin, text, problem = clock(), "", ""
    try:
        text = f"taken: {str(case.send(api))[:80]}"
    except Refused as refusal:
        text = str(refusal)
        if not text.strip() or text == "None":
            problem = "it was refused without a sentence"
        elif "Traceback" in text or "An error in this program" in text or "Internal Server Error" in text:
            problem = f"it met an error in the program: {text[:300]}"
    except httpx.TransportError as error:
        problem = f"the server did not answer ({type(error).__name__})"
    seconds = clock() - begin
    if not problem and seconds > most_seconds:
        problem = f"it took {seconds:.1f} s"
    return Answer(case.name, seconds, text, problem)
