"""`python -m app.view RUN`: shows an existing run in the browser."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from app.server import Viewers, routes, websocket_options
from app.viewer import RunViewer
from ar4d.errors import UserError
from ar4d.runs import Run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m app.view", description="Watch a run in the browser.")
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7861)
    args = parser.parse_args()

    viewers, viewer = Viewers(), RunViewer(None, record=True)
    try:
        viewer.show_run(Run.open(args.run))
    except UserError as error:
        sys.exit(str(error))
    path = viewers.add(viewer, keep=True)
    print(f"http://{args.host}:{args.port}{path}", flush=True)
    try:
        uvicorn.run(
            Starlette(routes=routes(viewers)),
            host=args.host,
            port=args.port,
            log_level="warning",
            **websocket_options(),
        )
    finally:
        viewers.close_all()


if __name__ == "__main__":
    main()
