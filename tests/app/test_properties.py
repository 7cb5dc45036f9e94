"""Anything may come from a stranger: records, settings, tokens, ids and files are refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.api import _clip_settings
from app.page.session import Session
from app.page.settings_form import change
from app.runs.limits import Limits
from app.runs.storage import TOKEN, JobRecord, Storage, read_job_record, strip_server_paths, update_job_record
from ar4d.clip import ClipSettings
from ar4d.clip.sources import open_source
from ar4d.errors import UserError
from ar4d.presets import CPU
from ar4d.runs import Run
from ar4d.settings import Settings

few = settings(max_examples=30, deadline=None, derandomize=True, database=None)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
)
NAMES = ("seed", "size", "generate.iterations", "refine.enabled", "facing", "generate", "__class__", "")


def sentence(error: UserError) -> None:
    text = str(error)
    assert text
    assert "Traceback" not in text


@few
@given(values | st.dictionaries(st.sampled_from(NAMES), scalars, max_size=3))
@example({"generate.iterations": -1})
@example({"size": 10**9})
def test_settings_of_a_stranger_fit_or_are_refused(changes: object) -> None:
    try:
        assert isinstance(change(CPU, changes), Settings)
    except UserError as error:
        sentence(error)


@few
@given(values | st.dictionaries(st.sampled_from(("num_frames", "start", "fps", "background")), scalars))
def test_clip_settings_of_a_stranger_fit_or_are_refused(given_values: object) -> None:
    try:
        assert isinstance(_clip_settings(given_values), ClipSettings)
    except UserError as error:
        sentence(error)


@few
@given(values)
def test_a_session_of_a_stranger_is_a_session(value: object) -> None:
    assert TOKEN.fullmatch(Session.from_browser(value).visitor)


@few
@given(scalars, scalars)
@example("a" * 43, "../" + "a" * 19)
@example("../../../etc/passwd" + "a" * 20, "a" * 22)
def test_a_run_is_found_by_nobody_who_guesses(token: object, run: object) -> None:
    with TemporaryDirectory() as folder:
        storage = Storage(Path(folder), Limits())
        try:
            found = storage.run(token, run)  # type: ignore[arg-type]
        except UserError as error:
            sentence(error)
        else:
            raise AssertionError(found)


@few
@given(st.binary(max_size=300) | values.map(lambda value: json.dumps(value).encode()))
@example(b"")
@example(b'{"name": "x", "created": NaN}')
@example(b'{"recipe": null}')
def test_a_damaged_record_is_refused_in_a_sentence(content: bytes) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, read in (("job.json", read_job_record), ("run.json", Run.open)):
            (folder / file).write_bytes(content)
            try:
                read(folder)
            except UserError as error:
                sentence(error)


@few
@given(st.text(max_size=40), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_a_job_record_comes_back_as_it_was(name: str, created: float, pinned: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder)
        text = json.dumps({"name": "x", "created": created})
        (path / "job.json").write_text(text, encoding="utf-8")
        changed = update_job_record(path, name=name, pinned=pinned)
        assert read_job_record(path) == changed == JobRecord(name, created, pinned=pinned)


SUFFIXES = (".mp4", ".gif", ".png", ".heic", "")
HEADS = (
    b"",
    b"GIF89a",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\0\0\0\0WEBP",
    b"\0\0\0\x18ftypheic",
    b"\0\0\0\x18ftypisom",
    b"BM",
)


@few
@given(st.sampled_from(HEADS), st.binary(max_size=200), st.sampled_from(SUFFIXES))
def test_a_broken_file_is_refused_in_a_sentence(head: bytes, body: bytes, suffix: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{suffix}"
        path.write_bytes(head + body)
        try:
            source = open_source(path, None)
            list(source.read([0], 1.0))
        except UserError as error:
            sentence(error)


@few
@given(st.text(max_size=60))
def test_no_path_of_the_server_reaches_a_visitor(text: str) -> None:
    assert "/srv/runs" not in strip_server_paths(f"{text} /srv/runs/secret/clip.mp4")
