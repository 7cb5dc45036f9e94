"""What a link to a shared run leads to: the player, its pictures, and the player as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from app.headers import viewer_headers
from app.runs.storage import read_job_record
from ar4d.errors import UserError
from ar4d.player.page import PageText, message_page, served_page

GONE = "Nothing is shared under this link: the sharing has ended, or the run was deleted."


def share_routes(service: Any) -> list[BaseRoute]:
    """The routes of shared runs; all other addresses of the pages are relative."""

    def page(request: Request) -> Response:
        share = request.path_params["share"]
        run = service.shared(share)
        if run is None:
            return HTMLResponse(message_page(GONE, home="../"), 404)
        path = service.viewer_path(run)
        viewer = service.viewers.get(path.strip("/").split("/")[-1])
        base = f"..{path}"
        finished = (run / "refined.safetensors").exists()
        text = PageText(
            title=_title(run),
            home="../",
            picture=urljoin(own_address(request), f"{share}/preview.jpg"),
            poster=f"{base}poster.webp" if viewer and viewer.has_poster else "",
            download=f"{share}/player.html" if finished else "",
            embed=True,
        )
        return HTMLResponse(served_page(text, base), headers=viewer_headers(shared=True))

    def preview(request: Request) -> Response:
        run = service.shared(request.path_params["share"])
        try:
            viewer = service.viewers.get(service.viewer_path(run).strip("/").split("/")[-1]) if run else None
            picture = viewer.poster("jpeg") if viewer else None
        except UserError:
            picture = None
        if picture is None:
            return HTMLResponse(message_page("There is no picture here."), 404)
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "max-age=600"})

    def player(request: Request) -> Response:
        run = service.shared(request.path_params["share"])
        if run is None:
            return HTMLResponse(message_page(GONE, home="../../"), 404)
        try:
            file = service.export(run, "html", {"title": _title(run)})
        except UserError as error:
            return HTMLResponse(message_page(str(error), home="../../"), 409)
        return FileResponse(file, media_type="text/html", filename=f"{_title(run)}.html")

    return [
        Route("/share/{share}", page),
        Route("/share/{share}/preview.jpg", preview),
        Route("/share/{share}/player.html", player),
    ]


def _title(run: Path) -> str:
    """The run's name without the ending of a file."""
    return Path(read_job_record(run).name).stem


def own_address(request: Request) -> str:
    """The page's own address as its visitors write it, also behind a reverse proxy."""
    headers = request.headers
    scheme = headers.get("x-forwarded-proto", request.url.scheme).split(",")[0].strip()
    host = headers.get("x-forwarded-host", request.url.netloc).split(",")[0].strip()
    path = request.scope["path"]
    prefix = request.scope.get("root_path", "").rstrip("/")
    return f"{scheme}://{host}{path if path.startswith(f'{prefix}/') else prefix + path}"
