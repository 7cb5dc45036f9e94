"""The same jobs without the page: named endpoints for `gradio_client`.

    from gradio_client import Client, handle_file

    client = Client("http://localhost:7860")
    clip = handle_file("clip.mp4")
    run = client.predict(clip, {"num_frames": 16}, "cpu", {"seed": 3}, "", api_name="/lift")
    while client.predict(run["run"], run["token"], api_name="/status")["state"] in ("queued", "running"):
        time.sleep(2)
    path = client.predict(run["run"], run["token"], "mp4", {}, api_name="/export")

`token` is the caller's own: whoever gives the same one sees the same runs, nobody else does.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gradio as gr

from app.page.session import spoken
from app.page.settings_form import change, checked_changes
from app.runs import storage
from app.service import Studio
from ar4d.clip import ClipSettings
from ar4d.errors import UserError
from ar4d.presets import find


def add(studio: Studio) -> None:
    """Adds the endpoints to the page that is being built."""
    for function in (_lift(studio), _status(studio), _cancel(studio), _export(studio)):
        gr.api(spoken(function, on_page=False), api_name=function.__name__, concurrency_limit=None)


def _lift(studio: Studio):
    def lift(video: dict, clip: dict, preset: str, settings: dict, token: str) -> dict:
        """Turns a video into a 4D asset; returns at once, the work goes on.

        Args:
            video: the clip, as `gradio_client.handle_file(path)`.
            clip: how the subject is cut out, as {"num_frames": 24, "start": 0.5}: the fields of
                `ar4d.clip.ClipSettings`; {} for the defaults.
            preset: paper, quality, fast, cpu or cpu-fine.
            settings: what differs from the preset, by dotted name, as {"generate.iterations": 100}.
            token: the caller's; "" makes a new one.

        Returns:
            {"run": its id, "token": the caller's, "warnings": of the cut-out}.
        """
        chosen = change(find(preset).settings, checked_changes(settings))
        token = token or storage.new_token()
        draft = studio.take(token, *_uploaded(studio, video))
        facts = studio.cut_out(draft, _clip_settings(clip), chosen.size)
        run = studio.start(token, draft, chosen)
        return {"run": run.name, "token": token, "warnings": facts.warnings}

    return lift


def _status(studio: Studio):
    def status(run: str, token: str) -> dict:
        """How far a run is.

        Args:
            run: its id, from /lift.
            token: the caller's, from /lift.

        Returns:
            {"state": queued, running, stopped, failed or finished, "error": one sentence or "",
            "position": runs before it in the queue, "stage", "frame" (from 0), "num_frames",
            "frames_done", "step", "num_steps", "seconds_left", "psnr": per finished frame,
            "experts": by role, "warnings", "viewer": its path on this server}.
        """
        folder = studio.storage.run(token, run)
        job = studio.jobs.get(folder)
        with job.lock:
            state, progress = job.state, job.progress
            return {
                "state": state,
                "error": job.error,
                "position": studio.jobs.position(job),
                "stage": progress.stage,
                "frame": progress.frame_index,
                "num_frames": progress.num_frames,
                "frames_done": progress.frames_done,
                "step": progress.step,
                "num_steps": progress.num_steps,
                "seconds_left": round(studio.jobs.seconds_left(job), 1) if job.alive else None,
                "psnr": [round(progress.psnr[k], 3) for k in range(progress.frames_done)],
                "experts": {role: name for role, (name, _) in progress.experts.items()},
                "warnings": list(progress.warnings),
                "viewer": studio.viewer_path(folder),
            }

    return status


def _cancel(studio: Studio):
    def cancel(run: str, token: str) -> dict:
        """Stops a run; its finished frames are kept.

        Args:
            run: its id, from /lift.
            token: the caller's, from /lift.

        Returns:
            {"state": of the run, which may take a moment to become "stopped"}.
        """
        folder = studio.storage.run(token, run)
        studio.jobs.cancel(folder)
        return {"state": studio.jobs.get(folder).state}

    return cancel


def _export(studio: Studio):
    def export(run: str, token: str, format: str, options: dict) -> dict:
        """Writes a finished run as a file, which the client downloads.

        Args:
            run: its id, from /lift.
            token: the caller's, from /lift.
            format: html, mp4, gif, ply, compressed-ply, spz or glb; cutout for the clip's frames.
            options: the format's own, as {"size": 256}; see `python -m ar4d export --help`.

        Returns:
            The file: `client.predict` returns its path.
        """
        path = studio.export(studio.storage.run(token, run), format, options)
        return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}

    return export


def _uploaded(studio: Studio, video: Any) -> tuple[Path, str]:
    """The path and name of a file that this caller uploaded.

    Raises:
        UserError: it is none, or it does not lie where uploads lie.
    """
    sentence = "The video must be an uploaded file; give it as gradio_client.handle_file(path)."
    if not isinstance(video, dict) or not isinstance(video.get("path"), str):
        raise UserError(sentence)
    path = Path(video["path"]).resolve()
    if not path.is_relative_to(studio.cache) or not path.is_file():
        raise UserError(sentence)
    return path, str(video.get("orig_name") or path.name)


def _clip_settings(values: Any) -> ClipSettings:
    known = {field.name for field in dataclasses.fields(ClipSettings)}
    if not isinstance(values, dict) or set(values) - known:
        raise UserError(f"The clip's settings are a dictionary of: {', '.join(sorted(known))}.")
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(ClipSettings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"clip.{first['loc'][0]}: {first['msg']}.") from error
