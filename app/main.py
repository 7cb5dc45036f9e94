"""`python app.py`: the page, its API and its viewers on one port."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import logs
from app.runs import zerogpu
from app.runs.limits import CLOSING_SECONDS, Limits
from app.space import usual_runs
from ar4d.errors import UserError

if TYPE_CHECKING:
    from app.viewer import RunViewer

EXAMPLE_RUN = Path(__file__).parents[1] / "assets" / "example_run"

_log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Serves until Ctrl-C; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python app.py", description="Lift videos in the browser.")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", _usual_host()))
    parser.add_argument("--port", type=int, default=int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    parser.add_argument(
        "--runs",
        type=Path,
        default=usual_runs(),
        help="folder for runs, uploads and downloads (default: AR4D_RUNS, a Space's /data/runs, or runs)",
    )
    parser.add_argument("--root-path", help="path prefix under which a reverse proxy serves the page")
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        default="",
        help="HOST:PORT of a Ray cluster's head, or auto: work on the devices of the cluster",
    )
    arguments = parser.parse_args(argv)
    try:
        zerogpu.prepare()
        logs.configure()
        limits = Limits.from_environment()
        server = Server(
            arguments.runs, arguments.host, arguments.port, arguments.root_path, limits, ray=arguments.ray
        )
    except (UserError, OSError) as error:
        print(f"ar4d: {error}", file=sys.stderr)
        return 2
    print(f"ar4d: {server.address}", flush=True)
    grace_seconds = _wait_for_signal(server, max(0.0, limits.shutdown_seconds - CLOSING_SECONDS))
    _exit_within(grace_seconds + CLOSING_SECONDS)
    server.close(grace_seconds)
    return 0


def _exit_within(seconds: float) -> None:
    """Ends this process with exit code 0 after `seconds`, whatever still holds it.

    A thread at work, such as one that draws a picture for a visitor who has just left, would otherwise delay
    the end without a bound. Files appear whole or not at all, so that none is cut short.
    """

    def exit_now() -> None:
        _log.warning("Something still held the server after %g s; it ends now", seconds)
        logging.shutdown()
        os._exit(0)

    timer = threading.Timer(seconds, exit_now)
    timer.daemon = True
    timer.start()


def _wait_for_signal(server: Server, grace_seconds: float) -> float:
    """Waits for SIGTERM or Ctrl-C; returns the seconds that runs get to finish their frame.

    Ctrl-C leaves no time, and a second signal ends the time that the first one left.
    """
    stopped = threading.Event()
    received: list[int] = []

    def on_signal(number: int, _: object) -> None:
        if received:
            server.service.jobs.hurry.set()
        received.append(number)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    stopped.wait()
    _log.info("Stops on %s", signal.Signals(received[0]).name)
    return grace_seconds if received[0] == signal.SIGTERM else 0.0


class Server:
    """A running application.

    Attributes: `address` of its page, `service`, `viewers`, `demo`, and `example`, the viewer that new
    visitors see.
    """

    def __init__(
        self,
        runs: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        root_path: str | None = None,
        limits: Limits | None = None,
        example: Path | None = EXAMPLE_RUN,
        ray: str = "",
    ) -> None:
        """Starts the server.

        Args:
            port: the port to listen on; 0 picks a free one.
            example: folder of the run that new visitors see; it may be missing.
            ray: address of a Ray cluster whose devices to use in place of this machine's.

        Raises:
            UserError: the folder of runs cannot be written to, or the cluster cannot be used.
        """
        os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
        os.environ["GRADIO_TEMP_DIR"] = str(
            runs.resolve() / ".cache"
        )  # Gradio reads it when it builds its server
        from starlette.middleware import Middleware

        from app.front_page import FrontPage
        from app.headers import SecurityHeaders
        from app.page.layout import Page
        from app.page.theme import head, stylesheet, theme
        from app.refusals import Refusals
        from app.server import Viewers, launch
        from app.service import Service

        self.viewers = Viewers()
        self.example: RunViewer | None = None
        self.service = Service(runs, self.viewers, limits, ray=ray)
        shown = self._show(example)
        page = Page(self.service, shown)
        self.demo = page.demo
        _, self.address, _ = launch(
            page.demo,
            self.viewers,
            host,
            port or _free_port(host),
            root_path,
            app_kwargs={
                "routes": routes(self.service, shown),
                "middleware": [
                    Middleware(SecurityHeaders),
                    Middleware(Refusals),
                    Middleware(FrontPage, picture=shown is not None),
                ],
            },
            theme=theme(),
            css=stylesheet(),
            head=head(),
            state_session_capacity=self.service.limits.sessions,  # every call of the API opens a session
            max_file_size=self.service.limits.upload_mb * 10**6,
            footer_links=["api", "gradio"],
            run_history=False,
            prevent_thread_lock=True,
            show_error=True,
            quiet=True,
        )
        self.service.start()
        if zerogpu.active():
            self._warm_up()  # now: a process must not be forked while another thread compiles
        else:
            threading.Thread(target=self._warm_up, daemon=True, name="ar4d-warm-up").start()

    def close(self, grace_seconds: float = 0.0) -> None:
        """Stops the server, its viewers and its workers.

        Args:
            grace_seconds: how long runs at work may go on until they have stored their current frame.
        """
        self.service.close(grace_seconds)
        self.viewers.close_all()
        self.demo.close(verbose=False)

    def _warm_up(self) -> None:
        """Compiles the kernels that render the page's pictures, and records the example."""
        from ar4d.warmup import warm_up

        warm_up()
        if self.example is not None and not zerogpu.active():  # there, no thread may be at work now
            self.example.prepare()

    def _show(self, example: Path | None) -> str | None:
        """The path of the example's viewer, which all visitors share."""
        from app.examples import NOTICE
        from app.viewer import RunViewer
        from ar4d.runs import Run

        if example is None or not (example / "run.json").exists():
            return None
        run = Run.open(example)
        viewer = RunViewer(None, run.record.recipe.settings.elevation_deg, record=True)
        viewer.show_run(run)
        viewer.notice(NOTICE)
        self.example = viewer
        return self.viewers.add(viewer, keep=True)


def routes(service: Any, first: str | None = None) -> list[Any]:
    """The page's routes in addition to Gradio's and the viewers'.

    Args:
        first: path of the viewer that new visitors see.
    """
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, RedirectResponse, Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    from app import examples, operation, result_routes
    from app.front_page import PICTURE
    from app.share import share_routes
    from ar4d.player.page import message_page

    shown = examples.ExampleRuns(service.viewers)

    def example(request: Request) -> Response:
        path = shown.viewer_path(request.path_params["name"])
        if path is None:
            return HTMLResponse(message_page("There is no finished example of this name.", home="../"), 404)
        return RedirectResponse(f"..{path}")

    def picture(_: Request) -> Response:
        viewer = service.viewers.get(first.split("/")[2]) if first else None
        if viewer is None:
            return HTMLResponse(message_page("There is no picture here."), 404)
        headers = {"Cache-Control": "max-age=3600"}
        return Response(viewer.poster("jpeg"), media_type="image/jpeg", headers=headers)

    return [
        *result_routes.routes(service),
        *operation.routes(service),
        *share_routes(service),
        Route(f"/{PICTURE}", picture),
        Route("/example/{name}", example),
        Mount("/examples", StaticFiles(directory=examples.CLIPS, check_dir=False)),
    ]


def _usual_host() -> str:
    """This machine only; on a Hugging Face Space, which sets SPACE_ID, all interfaces."""
    return "0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1"


def _free_port(host: str) -> int:
    """A free port; Gradio does not accept port 0."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]
