"""The routes behind the page's result: making files, and cleaning up splats.

A page gets a ticket for the run that it shows (`Exports.ticket`). Every answer is JSON; a request that cannot
be granted gets `{"error": "one sentence"}` and status 400.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from app.page import export_forms
from app.page.steps.result import stage_pictures
from app.runs.cleanups import cleaned_up, preview
from app.runs.storage import strip_server_paths
from app.service import Service
from ar4d.errors import UserError
from ar4d.formats import CameraPath
from ar4d.runs import Run

MAX_BODY = 256 << 10  # bytes
MAX_SAMPLES = 3600
Handler = Callable[[Path, Any, Request], Any]


def routes(service: Service) -> list[BaseRoute]:
    """The routes for the runs of a service."""

    def start(run: Path, body: Any, _: Request) -> Any:
        name, options = str(body.get("format")), body.get("options") or {}
        if not isinstance(options, dict):
            raise UserError("The options of an export are a dictionary.")
        return service.exports.start(run, name, options, bool(body.get("original"))).to_json()

    def status(run: Path, _: Any, request: Request) -> Any:
        return service.exports.find(run, request.path_params["id"]).to_json()

    def cancel(run: Path, _: Any, request: Request) -> Any:
        making = service.exports.find(run, request.path_params["id"])
        service.exports.cancel(making)
        return making.to_json()

    def download(run: Path, _: Any, request: Request) -> Any:
        making = service.exports.find(run, request.path_params["id"])
        if making.path is None or not making.path.exists():
            raise UserError("This file is no longer kept; make it again.")
        return FileResponse(making.path, filename=making.path.name)

    def estimate(run: Path, body: Any, _: Request) -> Any:
        wanted = {str(name): values for name, values in body.items() if isinstance(values, dict)}
        return export_forms.estimates(Run.open(run), wanted)

    def follow(_: Path, body: Any, __: Request) -> Any:
        frames = min(max(int(body.get("frames") or 2), 2), MAX_SAMPLES)
        return [key.__dict__ for key in CameraPath.from_json(body.get("path")).sample(frames)]

    def stages(run: Path, _: Any, request: Request) -> Any:
        return stage_pictures(service.jobs.get(run), int(request.path_params["frame"]))

    def select(run: Path, body: Any, _: Request) -> Any:
        return preview(Run.open(run), body.get("edit"), int(body.get("height") or 512))

    def clean(run: Path, body: Any, _: Request) -> Any:
        changed = cleaned_up(Run.open(run), str(body.get("action")), body.get("edit"))
        service.reload_viewer(run)
        return changed

    groups = export_forms.groups()  # before there are other threads: pydantic parses the options' source

    def formats(_: Request) -> Response:
        return JSONResponse(groups, headers={"Cache-Control": "max-age=60"})

    base = "/result/{ticket}"
    return [
        Route("/formats", formats),
        Route(f"{base}/exports", _answering(service, start), methods=["POST"]),
        Route(f"{base}/exports/{{id}}", _answering(service, status)),
        Route(f"{base}/exports/{{id}}", _answering(service, cancel), methods=["DELETE"]),
        Route(f"{base}/exports/{{id}}/file", _answering(service, download)),
        Route(f"{base}/estimates", _answering(service, estimate), methods=["POST"]),
        Route(f"{base}/stages/{{frame}}", _answering(service, stages)),
        Route(f"{base}/path", _answering(service, follow), methods=["POST"]),
        Route(f"{base}/selection", _answering(service, select), methods=["POST"]),
        Route(f"{base}/cleanup", _answering(service, clean), methods=["POST"]),
    ]


def _answering(service: Service, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that finds the ticket's run, and turns a `UserError` into its sentence."""

    async def endpoint(request: Request) -> Response:
        try:
            body = await _body(request)
            run = service.exports.run_of(request.path_params["ticket"])
            answer = await asyncio.to_thread(handler, run, body, request)
        except (UserError, ValueError, TypeError) as error:
            sentence = str(error) if isinstance(error, UserError) else "This request could not be read."
            return JSONResponse({"error": strip_server_paths(sentence)}, 400)
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    return endpoint


async def _body(request: Request) -> Any:
    """
    Raises:
        UserError: the body is too long or no JSON object.
    """
    content = await request.body()
    if len(content) > MAX_BODY:
        raise UserError("This request is too long; draw a simpler outline.")
    body = json.loads(content) if content else {}
    if not isinstance(body, dict):
        raise UserError("This request could not be read.")
    return body
