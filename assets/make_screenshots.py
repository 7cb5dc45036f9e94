"""Takes the README's pictures of the page: `python -m assets.make_screenshots [--frames 24] [--out DIR]`.

The page is served, and a browser does what a visitor would: it takes an example, starts a run and looks at
the result, at a desk and on a phone. It needs Chromium and the tests' requirements, and takes as long as the
run.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from app.main import EXAMPLE_RUN, Server
from benchmarks.support.browser import chromium

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
GAP = 20  # pixels between two phones
QUALITY = 82
PATIENCE = 600_000  # milliseconds
HALF_WAY = "() => Number(document.querySelector('.panel.running')?.dataset.frames ?? 0) >= {}"
SHOWN = "() => document.querySelector('iframe.viewer')?.contentWindow?.ar4d?.view?.()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--example", default="mug", help="the clip that is lifted")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "screenshots")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        server = Server(Path(folder) / "runs", example=EXAMPLE_RUN)
        try:
            stored = at_a_desk(browser, server, arguments.example, arguments.frames, arguments.out)
            on_a_phone(browser, server, stored, arguments.out)
        finally:
            server.close()


def at_a_desk(browser: Browser, server: Server, example: str, frames: int, out: Path) -> object:
    """Takes the pictures of the cut-out, the run and the result; returns what the browser has stored."""
    context = browser.new_context(viewport=DESK, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(server.address)
    page.locator(f"button[data-name={example}]").click()
    page.locator("ar4d-cutout").wait_for()
    page.get_by_label("Frames").first.fill(str(frames))
    page.keyboard.press("Tab")
    page.locator("ar4d-cutout .scrub output", has_text=f"of {frames}").wait_for()
    page.wait_for_function(SHOWN)
    take(page, out / "cut-out.jpg")
    page.get_by_role("button", name="Continue").click()
    page.locator("#generate").click()
    page.wait_for_function(HALF_WAY.format(frames // 2))
    page.wait_for_timeout(2000)
    take(page, out / "generate.jpg")
    page.locator(".panel.finished").wait_for(state="attached")
    page.get_by_role("tab", name="4 Result").click()
    page.locator("ar4d-exports article").first.wait_for()
    page.wait_for_function(SHOWN)
    page.wait_for_timeout(3000)
    take(page, out / "result.jpg")
    stored = context.storage_state()
    context.close()
    return stored


def on_a_phone(browser: Browser, server: Server, stored: object, out: Path) -> None:
    """Takes the picture of three steps side by side, in the dark theme."""
    context = browser.new_context(
        viewport=PHONE,  # type: ignore[arg-type]
        reduced_motion="reduce",
        color_scheme="dark",
        has_touch=True,
        storage_state=stored,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(server.address)
    page.locator("ar4d-exports article").first.wait_for()
    page.wait_for_function(SHOWN)
    page.wait_for_timeout(3000)  # the still picture fades over the first splats
    shots = []
    for step in ("2 Cut-out", "3 Generate", "4 Result"):
        page.get_by_role("tab", name=step).click()
        page.wait_for_timeout(1500)
        shots.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    width, height = shots[0].size
    sheet = Image.new("RGB", (3 * width + 2 * GAP, height), "white")
    for k, shot in enumerate(shots):
        sheet.paste(shot, (k * (width + GAP), 0))
    sheet.save(out / "phone.jpg", quality=QUALITY)
    context.close()


def take(page: Page, path: Path) -> None:
    """Writes what the top of the page shows as a JPEG."""
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=path, type="jpeg", quality=QUALITY)


if __name__ == "__main__":
    main()
