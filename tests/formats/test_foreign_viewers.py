"""PlayCanvas' and Spark's viewers draw the splat files in a browser: upright, and facing the same way."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from ar4d.formats import export, find_format
from tests.support import foreign
from tests.support.browser import CHROMIUM, chromium, screenshot
from tests.support.moving import SpinningBall
from tests.support.npm import install, needs_npm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs_npm,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

SIDE = 256  # pixels of the view
SETTINGS = {  # of PlayCanvas' viewer: its camera stands where the clip's does
    "version": 2,
    "tonemapping": "linear",
    "highPrecisionRendering": False,
    "background": {"color": [1, 1, 1]},
    "postEffectSettings": {
        "sharpness": {"enabled": False, "amount": 0},
        "bloom": {"enabled": False, "intensity": 0, "blurLevel": 2},
        "grading": {"enabled": False, "brightness": 1, "contrast": 1, "saturation": 1, "tint": [1, 1, 1]},
        "vignette": {"enabled": False, "intensity": 0, "inner": 0.3, "outer": 0.75, "curvature": 1},
        "fringing": {"enabled": False, "intensity": 0},
    },
    "animTracks": [],
    "cameras": [{"initial": {"position": [0, 0, 2], "target": [0, 0, 0], "fov": 40}}],
    "annotations": [],
    "startMode": "default",
}
PAGE = """<!doctype html><style>body { margin: 0 }</style>
<canvas width="256" height="256" style="width: 256px; height: 256px"></canvas>
<script type="importmap">{"imports": {
  "three": "/node_modules/three/build/three.module.js",
  "three/addons/": "/node_modules/three/examples/jsm/",
  "@sparkjsdev/spark": "/node_modules/@sparkjsdev/spark/dist/spark.module.js",
  "playcanvas": "/node_modules/playcanvas/build/playcanvas.mjs"
}}</script>
<script type="module" src="/viewers.mjs"></script>"""


class Handler(SimpleHTTPRequestHandler):
    """Serves the viewers' modules, and under /files/ what the tests write."""

    def __init__(self, *arguments, files: Path, **options) -> None:
        self.files = files
        super().__init__(*arguments, directory=str(foreign.FOLDER), **options)

    def translate_path(self, path: str) -> str:
        name = path.split("?")[0]
        if name.startswith("/files/"):
            return str(self.files / name.removeprefix("/files/"))
        return super().translate_path(path)

    def guess_type(self, path) -> str:
        return "text/javascript" if str(path).endswith((".mjs", ".js")) else super().guess_type(path)

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("viewers")
    (folder / "page.html").write_text(PAGE)
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    install(foreign.FOLDER)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, files=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def write(folder: Path, name: str, viewer: str | None) -> Path:
    """The ball, red above and green below, with its right half (seen from +z) missing."""
    format = find_format(name)
    values = {"time": 0.0, **({} if viewer is None else {"viewer": viewer})}
    out = folder / f"{name}-{viewer}{format.suffix}"
    return export(LeftHalf(), name, out, format.make_options(values))[0]


class LeftHalf(SpinningBall):
    """The ball without its right half, so that a mirrored or turned file is noticed."""

    def at(self, t: float):
        ball = super().at(t)
        return ball.select(ball.means[:, 0] < 0)


def look(page: Page, name: str) -> np.ndarray:
    """[SIDE, SIDE, 3] of the middle of the page, in 0..1."""
    screenshot(page, f"foreign-{name}")
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        pixels = np.asarray(picture.convert("RGB")) / 255
    top, left = ((length - SIDE) // 2 for length in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def check_upright(pixels: np.ndarray) -> None:
    """Red above, green below, and nothing but background on the right."""
    red = (pixels[..., 0] > pixels[..., 1] + 0.25) & (pixels[..., 0] > 0.4)
    green = (pixels[..., 1] > pixels[..., 0] + 0.25) & (pixels[..., 1] > 0.3)
    assert red.sum() > 500
    assert green.sum() > 500
    (red_y, red_x), (green_y, green_x) = np.argwhere(red).mean(0), np.argwhere(green).mean(0)
    assert red_y < SIDE / 2 < green_y
    assert max(red_x, green_x) < SIDE / 2


@pytest.mark.parametrize(
    ("viewer", "name", "made_for"),
    [
        *(("spark", name, "spark") for name in ("ply", "compressed-ply", "spz", "sog")),
        ("playcanvas", "splat-glb", None),
    ],
)
def test_engines_draw_the_file_upright(browser, address, folder, viewer, name, made_for):
    path = write(folder, name, made_for)
    page = browser.new_page(viewport={"width": SIDE, "height": SIDE})
    try:
        page.goto(f"{address}/files/page.html?viewer={viewer}&file=/files/{path.name}")
        page.wait_for_function("window.shown", timeout=60_000)
        assert page.evaluate("window.shown") == "yes"
        check_upright(look(page, f"{viewer}-{name}"))
    finally:
        page.close()


@pytest.mark.parametrize("name", ["ply", "compressed-ply", "spz", "sog"])
def test_playcanvas_viewer_draws_files_for_supersplat_upright(browser, address, folder, name):
    path = write(folder, name, "supersplat")
    page_file = folder / f"{name}.html"
    (folder / "settings.json").write_text(json.dumps(SETTINGS))
    foreign.splat_transform("--viewer-settings", str(folder / "settings.json"), str(path), str(page_file))
    page = browser.new_page(viewport={"width": SIDE, "height": SIDE})
    try:
        page.goto(f"{address}/files/{page_file.name}?noui&noanim&webgl")
        pixels = look(page, f"supersplat-{name}")
        for _ in range(60):  # until the viewer has loaded and sorted
            if (pixels.max(-1) - pixels.min(-1) > 0.3).sum() > 2000:
                break
            page.wait_for_timeout(500)
            pixels = look(page, f"supersplat-{name}")
        check_upright(pixels)
    finally:
        page.close()
