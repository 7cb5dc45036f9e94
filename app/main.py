"""`python app.py`: the studio, its page and its viewers on one port."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from app.runs.limits import Limits
from ar4d.errors import UserError

EXAMPLE_RUN = Path(__file__).parents[1] / "assets" / "example_run"
EXAMPLE_NOTICE = "An example, made by this program"


def main(argv: list[str] | None = None) -> int:
    """Serves until Ctrl-C; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python app.py", description="Lift videos in the browser.")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", _usual_host()))
    parser.add_argument("--port", type=int, default=int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path(os.environ.get("AR4D_RUNS", "runs")),
        help="where runs, uploads and downloads are kept (default: AR4D_RUNS or runs)",
    )
    parser.add_argument("--root-path", help="prefix under which a reverse proxy shows the page")
    arguments = parser.parse_args(argv)
    try:
        server = Server(arguments.runs, arguments.host, arguments.port, arguments.root_path)
    except (UserError, OSError) as error:
        print(f"ar4d: {error}", file=sys.stderr)
        return 2
    print(f"ar4d: {server.address}", flush=True)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    server.close()
    return 0


class Server:
    """A running application. Attributes: `address` of its page, `studio`, `viewers`, `demo`."""

    def __init__(
        self,
        runs: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        root_path: str | None = None,
        limits: Limits | None = None,
        example: Path | None = EXAMPLE_RUN,
    ) -> None:
        """
        Args:
            port: 0 takes any that is free.
            example: the run that a new visitor sees; none if it is not there.
        """
        os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
        os.environ["GRADIO_TEMP_DIR"] = str(runs.resolve() / ".cache")  # read when Gradio builds its server
        from app.page.layout import Page
        from app.page.theme import head, stylesheet, theme
        from app.server import Viewers, launch
        from app.service import Studio

        self.viewers = Viewers()
        self.studio = Studio(runs, self.viewers, limits)
        page = Page(self.studio, self._show(example))
        self.demo = page.demo
        _, self.address, _ = launch(
            page.demo,
            self.viewers,
            host,
            port or _free_port(host),
            root_path,
            app_kwargs={"routes": routes(self.studio)},
            theme=theme(),
            css=stylesheet(),
            head=head(),
            max_file_size=self.studio.limits.upload_mb * 10**6,
            footer_links=["api", "gradio"],
            run_history=False,
            prevent_thread_lock=True,
            show_error=True,
            quiet=True,
        )
        self.studio.open_doors()
        threading.Thread(target=_warm_up, daemon=True, name="ar4d-warm-up").start()

    def close(self) -> None:
        self.studio.close()
        self.viewers.close_all()
        self.demo.close(verbose=False)

    def _show(self, example: Path | None) -> str | None:
        """The path of the example's viewer, which everybody shares."""
        from app.viewer import RunViewer
        from ar4d.runs import Run

        if example is None or not (example / "run.json").exists():
            return None
        run = Run.open(example)
        viewer = RunViewer(None, run.record.recipe.settings.elevation_deg)
        viewer.show_run(run)
        viewer.notice(EXAMPLE_NOTICE)
        return self.viewers.add(viewer, keep=True)


def routes(studio: Any) -> list[Any]:
    """The page's own addresses beside Gradio's and the viewers'."""
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, RedirectResponse, Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    from app.page.steps.source import EXAMPLES
    from app.viewer.page import sentence_page

    def shared(request: Request) -> Response:
        path = studio.shared(request.path_params["share"])
        if path is None:
            return HTMLResponse(sentence_page("Nothing is shared under this link (any more)."), 404)
        return RedirectResponse(f"..{path}")

    return [
        Route("/share/{share}", shared),
        Mount("/examples", StaticFiles(directory=EXAMPLES, check_dir=False)),
    ]


def _usual_host() -> str:
    """Nobody else's business on one's own machine; on a Space (which sets SPACE_ID) everybody's."""
    return "0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1"


def _free_port(host: str) -> int:
    """Gradio itself does not understand port 0."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def _warm_up() -> None:
    """Compiles what draws the pictures of the page."""
    from ar4d.warmup import warm_up

    warm_up()
