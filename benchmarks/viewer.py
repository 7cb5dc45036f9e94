"""Measures the viewer: `python -m benchmarks.viewer [scrub] [live] [watchers] [cycles] [memory]`.

scrub     time from the slider to new splats in the browser's scene, and superseded requests
live      time of pictures drawn by the server
watchers  slow-down of a run in the same process by 20 visitors, in their first loop and later
cycles    threads, files and memory over 200 × (open a viewer, watch it, close it)
memory    memory of idle viewers, fed by events or opened from a folder, and of connected visitors

Times are medians. On a machine with other load, only figures of one run are comparable.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil
import torch
import viser
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.server import Viewers
from app.viewer import RunViewer
from app.viewer.live import View
from ar4d.asset import DeformedGaussians, frame_time
from ar4d.cameras import FOV_Y_DEG, orbit
from ar4d.clip import ClipSettings
from ar4d.deformation import NodeField, global_field
from ar4d.events import Finished, FrameFinished
from ar4d.parameters import Parameters
from ar4d.presets import CPU
from ar4d.rendering import render
from ar4d.runs import Recipe, Run
from ar4d.settings import FieldSettings
from benchmarks.support.browser import chromium, opened, serving, wait_for_splats
from benchmarks.support.fish import PLAN, fish, fish_clip

FRAMES, COUNT, FPS = 24, 8000, 8.0


def swimming() -> DeformedGaussians:
    """An asset of 8,000 Gaussians on 512 nodes with a table of 24 keyframes."""
    settings = FieldSettings(kind="node-table")
    canonical = fish(0.0, COUNT)
    paths = torch.stack([fish(frame_time(k, FRAMES), COUNT).means for k in range(FRAMES)])
    field = global_field(settings, paths)
    assert isinstance(field, NodeField)
    with torch.no_grad():
        nearest = torch.cdist(field.nodes, canonical.means).argmin(1)
        field.table[..., :3] = (paths - canonical.means)[:, nearest]
    return DeformedGaussians(Parameters.of(canonical, True), field, settings, FRAMES, FPS)


def feed(viewer: RunViewer, finish: bool = True) -> None:
    """Show the viewer the frames of a run, and the finished asset if `finish`."""
    viewer.on(PLAN)
    for k in range(FRAMES):
        stage = "generate" if k else "initialize"
        viewer.on(FrameFinished(stage, k, fish(frame_time(k, FRAMES), COUNT), 25.0, 0.9, 1.0))
    if finish:
        viewer.on(Finished(swimming(), (25.0,) * FRAMES, (0.9,) * FRAMES))


SCRUB = """async ([width, count]) => {
  const scrub = document.querySelector('[data-part=scrub]');
  const shown = () => ar4d.splats.sides['/left'];
  const buffer = () => window.__viserSceneTree.getState()['/left'].message.props.buffer;
  const picture = () => window.__viserTestpoints.rendererInfo.render.frame;
  const times = [];
  for (let i = 0; i < count; i++) {
    const target = ((i * 7.3) % (width - 1)) + 0.003 * i;  // a position that is not in the cache
    const before = buffer();
    const start = performance.now();
    scrub.value = target;
    scrub.dispatchEvent(new Event('input'));
    while (buffer() === before || Math.abs(shown().position - target) > 0.05)
      await new Promise((resolve) => setTimeout(resolve, 1));
    const inScene = performance.now() - start;
    const last = picture();
    while (picture() <= last) await new Promise((resolve) => setTimeout(resolve, 1));
    times.push([inScene, performance.now() - start]);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  return times;
}"""

DRAG = """async (width) => {
  const scrub = document.querySelector('[data-part=scrub]');
  const before = {...ar4d.splats.counts};
  let pending = 0;
  for (let i = 0; i < 250; i++) {
    scrub.value = (width - 1) * (0.5 - 0.5 * Math.cos(i / 17));
    scrub.dispatchEvent(new Event('input'));
    pending = Math.max(pending, ar4d.splats.pending.size);
    await new Promise((resolve) => setTimeout(resolve, 8));
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  const after = ar4d.splats.counts;
  return {events: 250, asked: after.asked - before.asked, shown: after.shown - before.shown,
          superseded: after.late - before.late, pending};
}"""

PLAY = """async () => {
  ar4d.splats.forget();  // as for a new visitor
  const before = {...ar4d.splats.counts};
  let pending = 0;
  ar4d.play(() => ar4d.clock.play(1));
  for (const end = performance.now() + 6000; performance.now() < end;) {
    pending = Math.max(pending, ar4d.splats.pending.size);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  ar4d.clock.playing = false;
  const after = ar4d.splats.counts;
  return {seconds: 6, asked: after.asked - before.asked, shown: after.shown - before.shown, pending};
}"""

FRAME_RATE = """async () => {
  const start = performance.now();
  let pictures = 0;
  for (; performance.now() < start + 1500; pictures++) {
    window.__viserMutable.requestRender();
    await new Promise(requestAnimationFrame);
  }
  return pictures / 1.5;
}"""


def scrub() -> None:
    """Measure scrubbing, dragging and playing in a browser, and the server's part of it."""
    viewers, viewer = Viewers(), RunViewer(fish_clip(FRAMES, 64))
    feed(viewer)
    path = viewers.add(viewer)
    with serving(viewers) as root, chromium() as browser:
        for width, height in ((320, 320), (1000, 700)):
            with opened(browser, root + path, width, height) as page:
                wait_for_splats(page, timeout_s=60)
                page.keyboard.press("k")
                page.wait_for_timeout(3000)
                fps = page.evaluate(FRAME_RATE)
                for stage in ("generate", "refine"):
                    page.evaluate("(stage) => ar4d.setStage(stage)", stage)
                    page.wait_for_timeout(1000)
                    times = page.evaluate(SCRUB, [FRAMES, 25])
                    print(
                        f"scrub {width}×{height} {stage}: {median(t[0] for t in times):.0f} ms to the scene, "
                        f"{median(t[1] for t in times):.0f} ms to the screen, medians "
                        f"(this browser draws {fps:.0f} pictures/s)"
                    )
                print(f"drag  {width}×{height}: {page.evaluate(DRAG, FRAMES)}")
                print(f"play  {width}×{height}: {page.evaluate(PLAY)} of {4 * (FRAMES - 1) + 1} in a loop")
        asset = swimming()
        evaluation, packed = timed(lambda: asset.at(0.3)), timed(fresh(viewer))
        print(f"server: {evaluation:.2f} ms for the Gaussians at a time, {packed:.2f} ms with packing")


def fresh(viewer: RunViewer) -> Callable[[], object]:
    """A function that requests splats at a new position each time."""
    positions = iter(i * 0.0137 for i in range(10**6))
    return lambda: viewer.splats("refine", next(positions))


def timed(function: Callable[[], object], repeat: int = 41) -> float:
    """Median time of a call in milliseconds."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * median(times)


def live() -> None:
    """Measure pictures drawn by the server."""
    viewer = RunViewer(None)
    feed(viewer)
    viewmat = tuple(orbit(20.0, 10.0, size=8).viewmats[0].flatten().tolist())
    for size in (256, 512, 1000):
        view = View(viewmat, FOV_Y_DEG, size, size, "rgb", (1.0, 1.0, 1.0))
        for quality, what in ((80, "moving"), (92, "at rest")):
            jpeg = viewer.picture(["refine"], 5.5, view, "row", quality)
            cost = timed(lambda q=quality, v=view: viewer.picture(["refine"], 5.5, v, "row", q))
            print(f"live {size}², quality of {what}: {cost:.1f} ms, {len(jpeg) / 1000:.0f} kB")
    viewer.close()


async def _watch(address: str, seconds_to_play: float) -> None:
    """Act as a visitor's page: request each step of the loop once, at the pace of playing."""
    async with connect(address, max_size=None) as socket:
        state = json.loads(await socket.recv())["state"]
        stage = "refine" if state["finished"] else "generate"
        for i in range(4 * (FRAMES - 1) + 1):
            question = {"id": i, "want": "splats", "stage": stage, "position": i / 4}
            await socket.send(json.dumps(question))
            while isinstance(await socket.recv(), str):
                pass  # messages about the run
            await asyncio.sleep(seconds_to_play / (4 * FRAMES))
        await asyncio.sleep(3600)


def _visitors(address: str, count: int) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(_watch(address, FRAMES / FPS) for _ in range(count)))

    asyncio.run(all_of_them())


def _optimise(steps: list[int], stop: threading.Event) -> None:
    """Optimise Gaussians until `stop` is set, counting the steps in `steps[0]`."""
    parameters = Parameters.of(fish(0.0, COUNT), True)
    parameters.means.requires_grad_()
    optimiser = torch.optim.Adam([parameters.means], 1e-4)
    camera = orbit(0.0, size=128)
    while not stop.is_set():
        loss = (render(parameters.activated(), camera).rgb - 0.5).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        steps[0] += 1


def watchers(count: int = 20) -> None:
    """Measure how much visitors slow a thread of this process that optimises 8,000 Gaussians."""
    viewers, viewer = Viewers(), RunViewer(None)
    feed(viewer)
    address = viewers.add(viewer) + "stream"
    steps, stop = [0], threading.Event()

    def rate(seconds: float) -> float:
        before, start = steps[0], time.perf_counter()
        time.sleep(seconds)
        return (steps[0] - before) / (time.perf_counter() - start)

    def serving_seconds() -> float:
        """CPU time of the threads that serve visitors."""
        times = {t.id: t.user_time + t.system_time for t in psutil.Process().threads()}
        names = ("ar4d-viewer", "server")
        return sum(times.get(t.native_id or 0, 0) for t in threading.enumerate() if t.name.startswith(names))

    worker = threading.Thread(target=_optimise, args=(steps, stop))
    with serving(viewers) as root:
        worker.start()
        while steps[0] < 20:  # until the kernels are compiled
            rate(1)
        playing, resting, loops, rests = [], [], [], []
        for _ in range(5):
            alone, cpu = rate(5), serving_seconds()
            visitors = multiprocessing.get_context("spawn").Process(
                target=_visitors, args=(root.replace("http", "ws") + address, count), daemon=True
            )
            visitors.start()
            asked = viewer.counts["asked"]
            while viewer.counts["asked"] < asked + count:
                time.sleep(0.05)
            playing.append(rate(3) / alone)
            while viewer.counts["asked"] < asked + count * (4 * (FRAMES - 1) + 1):
                time.sleep(0.2)
            time.sleep(0.5)
            loops.append(serving_seconds() - cpu)
            cpu, watched = serving_seconds(), rate(5)
            rests.append((serving_seconds() - cpu) / 5)
            visitors.terminate()
            visitors.join()
            resting.append(watched / ((alone + rate(5)) / 2))
        stop.set()
        worker.join()
    print(
        f"watchers: the first loop of {count} visitors takes {median(loops):.1f} s of CPU in all and leaves "
        f"{100 * median(playing):.0f} % of the run's speed meanwhile"
    )
    print(
        f"watchers: afterwards they take {100 * median(rests):.1f} % of a core and leave "
        f"{100 * median(resting):.0f} % of its speed"
    )


def cycles(count: int = 200) -> None:
    """Measure what opening and closing viewers leaves behind."""

    async def visit(address: str) -> None:
        async with connect(address.replace("http", "ws") + "stream", max_size=None) as socket:
            await socket.recv()
            await socket.send(json.dumps({"id": 1, "want": "splats", "stage": "refine", "position": 1.0}))
            while isinstance(await socket.recv(), str):
                pass

    process, viewers, asset = psutil.Process(), Viewers(), swimming()
    frame = fish(0.0, COUNT)

    def cycle(root: str) -> None:
        viewer = RunViewer(None)
        viewer.on(PLAN)
        viewer.on(FrameFinished("initialize", 0, frame, 25.0, 0.9, 1.0))
        viewer.on(Finished(asset, (), ()))
        asyncio.run(visit(root + viewers.add(viewer)))
        viewers.close(viewer.id)

    with serving(viewers) as root:
        for _ in range(20):
            cycle(root)
        for label in ("before", "after"):
            gc.collect()
            time.sleep(1)
            rss = process.memory_info().rss / 2**20
            files, threads = process.num_fds(), threading.active_count()
            print(f"cycles: {label} {files} files, {threads} threads, {rss:.0f} MB, {len(viewers)} viewers")
            if label == "before":
                start = time.perf_counter()
                for _ in range(count):
                    cycle(root)
                print(f"cycles: {1000 * (time.perf_counter() - start) / count:.0f} ms each")


def memory(count: int = 40) -> None:
    """Measure the memory of idle viewers and of connected visitors."""
    process = psutil.Process()

    def resident() -> float:
        gc.collect()
        return process.memory_info().rss / 2**20

    def open_many(label: str, make: Callable[[], RunViewer]) -> None:
        first = make()  # allocates what all viewers share
        before = resident()
        opened_viewers = [make() for _ in range(count)]
        print(f"memory: {label} {(resident() - before) / count:.2f} MB per idle viewer")
        for viewer in (first, *opened_viewers):
            viewer.close()

    with tempfile.TemporaryDirectory() as folder:
        clip = fish_clip(FRAMES, 256)
        run = Run.create(Path(folder) / "run", Recipe("fish", ClipSettings(), CPU), clip)
        (run.folder / "frames").mkdir()
        for k in range(FRAMES):
            fish(frame_time(k, FRAMES), COUNT).save(run.frame_path(k))
        swimming().save(run.folder / "refined.safetensors")

        def from_folder() -> RunViewer:
            viewer = RunViewer(None)
            viewer.show_run(run)
            viewer.rest()
            return viewer

        open_many("24 frames in a folder:", from_folder)

    def from_events() -> RunViewer:
        viewer = RunViewer(clip)
        feed(viewer)
        return viewer

    open_many("24 frames from events:", from_events)
    print(f"memory: {asyncio.run(_memory_per_visitor(from_events(), resident)):.2f} MB per connected visitor")


async def _memory_per_visitor(viewer: RunViewer, resident: Callable[[], float], count: int = 40) -> float:
    """Memory of a visitor with both websockets who has looked at one frame, in MB."""
    viewers = Viewers()
    path = viewers.add(viewer)
    with serving(viewers) as root:
        address = root.replace("http", "ws") + path

        async def visit() -> list[ClientConnection]:
            scene = await connect(address, subprotocols=[Subprotocol(f"viser-v{viser.__version__}")])
            stream = await connect(address + "stream", max_size=None)
            await stream.send(json.dumps({"id": 1, "want": "splats", "stage": "refine", "position": 1.0}))
            while isinstance(await stream.recv(), str):
                pass
            return [scene, stream]

        visitors = await visit()
        before = resident()
        for _ in range(count):
            visitors += await visit()
        per_visitor = (resident() - before) / count  # the clients' own memory included
        for visitor in visitors:
            await visitor.close()
    return per_visitor


if __name__ == "__main__":
    parts = {f.__name__: f for f in (scrub, live, watchers, cycles, memory)}
    for name in sys.argv[1:] or parts:
        parts[name]()
