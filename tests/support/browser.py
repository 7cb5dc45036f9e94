"""Chromium for the tests, and a small thing that moves to look at."""

from __future__ import annotations

import math
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import uvicorn
from playwright.sync_api import Browser, Frame, Page, sync_playwright
from starlette.applications import Starlette

from app.server import Viewers, routes, websocket_options
from ar4d.asset import FrameSequence, frame_time
from ar4d.cameras import orbit
from ar4d.clip import Clip, Crop
from ar4d.gaussians import Gaussians
from ar4d.rendering import render

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARTEFACTS = Path(__file__).parents[1] / "artefacts"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
HARMLESS = ("computeBoundingSphere", "THREE.Clock", "GPU stall", "GL Driver Message")


def fish(t: float, count: int = 600) -> Gaussians:
    """A fish of `count` Gaussians that waves its tail once while t goes from 0 to 1."""
    golden = torch.arange(count) + 0.5
    along = 1 - 2 * golden / count  # [N] from the mouth (1) to the tail (-1)
    angle = golden * (math.pi * (3 - math.sqrt(5)))
    profile = (1 - along**2).clamp_min(0).sqrt() * (0.75 + 0.35 * along)
    tail = ((-0.55 - along) / 0.45).clamp_min(0)  # 0 on the body, 1 at the fin's end
    x = 0.5 * along
    y = 0.3 * profile * angle.sin() * (1 + 2.2 * tail)
    z = 0.16 * profile * angle.cos() * (1 - 0.8 * tail)
    phase = 2 * math.pi * t
    z = z + 0.16 * (1 - along).clamp_min(0) ** 2 / 4 * torch.sin(phase + 1.6 * along)
    y = y + 0.02 * math.sin(phase)
    stripes = (0.5 + 0.5 * torch.sin(9 * along))[:, None]
    orange, cream = torch.tensor([0.95, 0.42, 0.1]), torch.tensor([0.98, 0.9, 0.78])
    colors = torch.lerp(orange, cream, stripes)
    eye = (torch.stack([x - 0.33, y - 0.06, z.abs() - 0.1], 1).norm(dim=1) < 0.055)[:, None]
    colors = torch.where(eye, torch.tensor([0.08, 0.08, 0.12]), colors)
    size = 0.9 / math.sqrt(count)
    scales = torch.tensor([size, size, 0.5 * size]).expand(count, 3).contiguous()
    quats = F.normalize(torch.stack([angle.cos() + 2, 0 * x, 0.3 * along, 0 * x], 1), dim=-1)
    return Gaussians(torch.stack([x, y, z], 1), quats, scales, torch.full((count,), 0.92), colors)


@dataclass(frozen=True)
class Swimming:
    """The fish as an asset: continuous in time."""

    num_frames: int = 8
    fps: float = 8.0
    count: int = 600

    def at(self, t: float) -> Gaussians:
        return fish(t, self.count)

    def to(self, device: torch.device | str) -> Swimming:
        return self

    def save(self, path: Path) -> None:
        frames = [self.at(frame_time(k, self.num_frames)) for k in range(self.num_frames)]
        FrameSequence(tuple(frames), self.fps).save(path)


def fish_clip(num_frames: int = 8, size: int = 128, fps: float = 8.0) -> Clip:
    """What the reference camera sees of it."""
    frames = []
    for k in range(num_frames):
        rendering = render(fish(k / max(num_frames - 1, 1), 2000), orbit(0.0, size=size), None)
        alpha = rendering.alpha[0, ..., None]
        rgba = torch.cat([rendering.rgb[0] / alpha.clamp_min(1e-3), alpha], dim=-1)
        frames.append((rgba.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    crop = Crop(0.0, 0.0, float(size), size, size)
    return Clip(np.stack(frames), fps, crop, source="fish", matting="alpha", warnings=())


@contextmanager
def serving(viewers: Viewers, prefix: str = "") -> Iterator[str]:
    """The viewers' routes on a free port; yields the server's root address.

    Args:
        prefix: as behind a reverse proxy that shows the server under this path and takes it off again.
    """
    app = Starlette(routes=routes(viewers))

    async def behind_proxy(scope, receive, send):
        assert scope["path"].startswith(prefix), scope["path"]
        await app({**scope, "path": scope["path"].removeprefix(prefix)}, receive, send)

    server = uvicorn.Server(
        uvicorn.Config(behind_proxy, port=0, log_level="warning", lifespan="off", **websocket_options())
    )
    thread = threading.Thread(target=server.run, daemon=True, name="server")
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}{prefix}"
    finally:
        viewers.close_all()
        server.should_exit = True
        thread.join(5)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser whose software WebGL draws a few thousand splats."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, address: str, width: int = 480, height: int = 400, **options) -> Iterator[Page]:
    """A page at an address; what it complains about in the console is raised at the end."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    try:
        page.goto(address)
        yield page
        serious = [c for c in complaints if not any(known in c for known in HARMLESS)]
        assert not serious, serious
    finally:
        context.close()


def wait_for_splats(
    page: Page | Frame, more_than: int = 1, name: str = "/left", timeout_s: float = 30
) -> None:
    """Until viser's scene holds more than so many splats under a name."""
    page.wait_for_function(
        "([name, n]) => window.__viserSceneTree?.getState()[name]?.message.props.buffer.length / 8 > n",
        arg=[name, more_than],
        timeout=timeout_s * 1000,
    )


def splats(page: Page, name: str = "/left") -> np.ndarray:
    """The buffer that viser shows, [N, 8] uint32."""
    values = page.evaluate(
        "(name) => Array.from(window.__viserSceneTree?.getState()[name]?.message.props.buffer ?? [])", name
    )
    return np.array(values, np.uint32).reshape(-1, 8)


def screenshot(page: Page, name: str) -> Path:
    """Kept in tests/artefacts for people to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    path = ARTEFACTS / f"{name}.png"
    page.screenshot(path=path)
    return path
