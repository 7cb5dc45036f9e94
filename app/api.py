"""The API: named endpoints for `gradio_client`.

    from gradio_client import Client, handle_file

    client = Client("http://localhost:7860")
    clip = handle_file("clip.mp4")
    run = client.predict(clip, api_name="/lift")  # or with clip={"num_frames": 16}, preset="cpu", …
    while client.predict(run["run"], run["token"], api_name="/status")["state"] in ("queued", "running"):
        time.sleep(2)
    path = client.predict(run["run"], run["token"], "mp4", {}, api_name="/export")

`token` identifies the caller: a client sees the runs that were made with its own token, and no others.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic import ValidationError

from app.page.session import report_user_errors
from app.page.settings_form import change
from app.runs import storage
from app.service import Service
from ar4d.clip import ClipSettings
from ar4d.errors import UserError
from ar4d.presets import default_for, find
from ar4d.records import adapter, first_problem


def add(service: Service) -> None:
    """Adds the endpoints to the `gr.Blocks` being built."""
    for function in (
        _lift(service),
        _status(service),
        _cancel(service),
        _resume(service),
        _export(service),
    ):
        gr.api(
            report_user_errors(function, on_page=False), api_name=function.__name__, concurrency_limit=None
        )


def _lift(service: Service):
    def lift(
        video: dict,
        clip: dict | None = None,
        preset: str = "",
        settings: dict | None = None,
        token: str = "",
    ) -> dict:
        """Starts to turn a video into a 4D asset, and returns at once.

        Args:
            video: the clip, as `gradio_client.handle_file(path)`.
            clip: settings of the cut-out, as {"num_frames": 24, "start": 0.5}: fields of
                `ar4d.clip.ClipSettings`; the defaults if not given.
            preset: name of a preset: cpu, cpu-fine, …; the one for this server's machine if not given.
            settings: changes to the preset by dotted name, as {"generate.iterations": 100}.
            token: the caller's token; a new one is made if not given.

        Returns:
            {"run": the run's id, "token": the caller's token, "warnings": warnings of the cut-out}.
        """
        chosen = change((find(preset) if preset else default_for(service.device)).settings, settings or {})
        token = token or storage.new_token()
        draft = service.create_draft(token, *_uploaded(service, video))
        record = service.cut_out(draft, _clip_settings(clip or {}), chosen.size)
        run = service.create_run(token, draft, chosen)
        return {"run": run.name, "token": token, "warnings": record.warnings}

    return lift


def _status(service: Service):
    def status(run: str, token: str) -> dict:
        """The progress of a run.

        Args:
            run: the run's id, from /lift.
            token: the caller's token, from /lift.

        Returns:
            {"state": queued, running, stopped, failed or finished, "error": one sentence or "",
            "position": runs before it while it is queued, else null, "stage", "frame" (from 0), "num_frames",
            "frames_done", "step", "num_steps", "seconds_left", "psnr": per finished frame,
            "experts": by role, "warnings", "viewer": path of its viewer on this server}.
        """
        folder = service.storage.run(token, run)
        job = service.jobs.get(folder)
        with job.lock:
            state, progress = job.state, job.progress
            return {
                "state": state,
                "error": job.error,
                "position": service.jobs.position(job) if state == "queued" else None,
                "stage": progress.stage,
                "frame": progress.frame_index,
                "num_frames": progress.num_frames,
                "frames_done": progress.frames_done,
                "step": progress.step,
                "num_steps": progress.num_steps,
                "seconds_left": round(service.jobs.seconds_left(job), 1) if job.alive else None,
                "psnr": [round(progress.psnr[k], 3) for k in range(progress.frames_done)],
                "experts": {role: name for role, (name, _) in progress.experts.items()},
                "warnings": list(progress.warnings),
                "viewer": service.viewer_path(folder),
            }

    return status


def _cancel(service: Service):
    def cancel(run: str, token: str) -> dict:
        """Stops a run and keeps its finished frames.

        Args:
            run: the run's id, from /lift.
            token: the caller's token, from /lift.

        Returns:
            {"state": the run's state, which may take a moment to become "stopped"}.
        """
        folder = service.storage.run(token, run)
        service.jobs.cancel(folder)
        return {"state": service.jobs.get(folder).state}

    return cancel


def _resume(service: Service):
    def resume(run: str, token: str) -> dict:
        """Queues a run again that was cancelled or has failed; its finished frames are kept.

        Args:
            run: the run's id, from /lift.
            token: the caller's token, from /lift.

        Returns:
            {"state": the run's state}.
        """
        return {"state": service.resume(token, service.storage.run(token, run)).state}

    return resume


def _export(service: Service):
    def export(run: str, token: str, format: str, options: dict | None = None) -> dict:
        """Exports a finished run as a file, which the client downloads.

        Args:
            run: the run's id, from /lift.
            token: the caller's token, from /lift.
            format: html, mp4, webm, mov, gif, png, ply, spz, sog, glb, …; cutout for the clip's frames.
            options: options of the format, as {"size": 256}; the defaults if not given.

        Returns:
            The file: `client.predict` returns its path.
        """
        path = service.export(service.storage.run(token, run), format, options)
        return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}

    return export


def _uploaded(service: Service, video: Any) -> tuple[Path, str]:
    """The path and name of a file that the caller uploaded.

    Raises:
        UserError: the value is not an uploaded file.
    """
    message = "The video must be an uploaded file; give it as gradio_client.handle_file(path)."
    if not isinstance(video, dict) or not isinstance(video.get("path"), str):
        raise UserError(message)
    path = Path(video["path"]).resolve()
    if not path.is_relative_to(service.cache) or not path.is_file():
        raise UserError(message)
    return path, str(video.get("orig_name") or path.name)


def _clip_settings(values: Any) -> ClipSettings:
    known = {field.name for field in dataclasses.fields(ClipSettings)}
    if not isinstance(values, dict) or set(values) - known:
        raise UserError(f"The clip's settings are a dictionary of: {', '.join(sorted(known))}.")
    try:
        return adapter(ClipSettings).validate_python(values)
    except ValidationError as error:
        raise UserError(f"The clip's setting {first_problem(error)}.") from error
