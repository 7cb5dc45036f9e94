"""What an operator asks a server: whether it lives, whether it takes work, what it has done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ar4d.errors import UserError

if TYPE_CHECKING:
    from app.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """`/readyz` and `/metrics`. `/healthz` belongs to the viewers' routes, which work without a service."""

    def ready(_: Request) -> Response:
        try:
            service.require_ready()
        except UserError as error:
            return JSONResponse({"status": "not ready", "reason": str(error)}, 503)
        return JSONResponse({"status": "ready"})

    def metrics(_: Request) -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [Route("/readyz", ready), Route("/metrics", metrics)]
