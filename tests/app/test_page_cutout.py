"""The cut-out corrected in a real browser by mouse and keyboard, and the step that follows it."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from app.main import Server
from app.runs.drafts import CutoutRecord
from app.runs.limits import Limits
from ar4d.runs import Run
from tests.clip.test_corrections import pair
from tests.support.browser import CHROMIUM
from tests.support.footage import write_images, write_video
from tests.support.lifting import serving_page
from tests.support.visiting import DESK, LOOKS, cut_out, keep, upload, visit, wait_for_state

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
BLUE = (54 / 96, 0.5)  # in the first frame of `pair`


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_page(tmp_path_factory.mktemp("page"), Limits(upload_mb=1)) as started:
        yield started


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two disks that move together, before a white wall."""
    frames = []
    for k in range(6):
        picture = pair(k).astype(float)
        alpha = picture[..., 3:] / 255
        frames.append((picture[..., :3] * alpha + 255 * (1 - alpha)).round().astype("uint8"))
    return write_video(tmp_path_factory.mktemp("clips") / "pair.mp4", frames, options={"crf": "8"})


def facts(page: Page) -> dict[str, Any]:
    return json.loads(page.locator("ar4d-cutout").get_attribute("data-facts") or "{}")


def corrected(page: Page, marks: int, boxes: int = 0) -> None:
    """Waits until the server has cut out with so many corrections."""
    page.wait_for_function(
        """([marks, boxes]) => {
            const found = JSON.parse(document.querySelector("ar4d-cutout").dataset.facts).corrections;
            return found.marks.length === marks && found.boxes.length === boxes;
        }""",
        arg=[marks, boxes],
    )


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the video, in shares of it, is in the window."""
    page.locator("ar4d-cutout .whole").scroll_into_view_if_needed()
    area = page.locator("ar4d-cutout .whole").bounding_box()
    assert area is not None
    width, height = facts(page)["source"]
    scale = min(area["width"] / width, area["height"] / height)
    left, top = (area["width"] - scale * width) / 2, (area["height"] - scale * height) / 2
    return area["x"] + left + x * scale * width, area["y"] + top + y * scale * height


def drag(page: Page, begin: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*begin)
    page.mouse.down()
    page.mouse.move(*end, steps=6)
    page.mouse.up()


def blue_share(server: Server, frame: int) -> float:
    """How much of the newest draft's frame is blue."""
    newest = max(server.service.storage.root.glob("*/drafts/*/draft.json"), key=lambda p: p.stat().st_mtime)
    from PIL import Image

    with Image.open(newest.parent / "input" / f"{frame:04d}.png") as image:
        pixels = np.asarray(image.convert("RGBA")).reshape(-1, 4).tolist()
    seen = [p for p in pixels if p[3] > 127]
    return sum(p[2] > p[0] for p in seen) / len(seen)


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_clicks_correct_the_cut_out_and_are_undone(
    browser: Browser, server: Server, clip: Path, size: tuple[int, int], theme: Any
) -> None:
    with visit(browser, server, size, color_scheme=theme) as page:
        cut_out(page, clip)
        assert blue_share(server, 0) > 0.2
        page.get_by_role("button", name="− Drop").click()
        page.mouse.click(*at(page, *BLUE))
        corrected(page, 1)
        assert all(blue_share(server, k) < 0.03 for k in range(6))
        keep(page, f"cut-out-clicks-{size[0]}-{theme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.get_by_role("button", name="Undo").click()
        corrected(page, 0)
        assert blue_share(server, 3) > 0.2


def test_a_stroke_a_box_and_the_keyboard(browser: Browser, server: Server, clip: Path) -> None:
    with visit(browser, server, DESK) as page:
        cut_out(page, clip)
        whole = page.locator("ar4d-cutout .whole")
        page.get_by_role("button", name="▢ Box").click()
        drag(page, at(page, 0.05, 0.1), at(page, 0.93, 0.9))
        corrected(page, 0, 1)
        (box,) = facts(page)["corrections"]["boxes"]
        assert (box["left"], box["bottom"]) == pytest.approx((0.05, 0.9), abs=0.02)
        whole.focus()
        page.keyboard.press("d")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")  # at 0.56, 0.5: on the blue disk
        corrected(page, 1, 1)
        assert blue_share(server, 2) < 0.03
        whole.focus()
        page.keyboard.press("z")
        corrected(page, 0, 1)
        page.get_by_role("button", name="− Drop").click()
        page.get_by_role("slider", name="Brush").fill("0.05")
        width = round(max(facts(page)["source"]) / 10)
        expect(page.locator("ar4d-cutout .size")).to_have_text(f"{width} px, 10 %")
        drag(page, at(page, 0.54, 0.5), at(page, 0.60, 0.5))
        corrected(page, 1, 1)
        (stroke,) = facts(page)["corrections"]["marks"]
        assert len(stroke["points"]) > 2
        assert stroke["radius"] == 0.05
        page.get_by_role("button", name="Clear").click()
        corrected(page, 0, 0)


def test_what_cannot_be_is_one_sentence(browser: Browser, server: Server, clip: Path) -> None:
    with visit(browser, server, DESK) as page:
        cut_out(page, clip)
        page.get_by_role("button", name="− Drop").click()
        page.mouse.click(*at(page, *BLUE))
        corrected(page, 1)
        page.get_by_role("button", name="+ Keep").click()
        page.mouse.click(*at(page, *BLUE))
        expect(page.locator("#cutout-notices .error")).to_contain_text(
            "is to be kept and to be dropped: remove one"
        )
        expect(page.locator("#cutout-notices .error")).to_have_count(1)
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#cutout-notices .error")).to_have_count(0)
        page.mouse.click(*at(page, 0.5, -0.1))  # above the picture, inside the square that shows it
        expect(page.locator(".toast-body")).to_contain_text("That click lies outside the picture")


def test_the_film_strip_trims_and_warnings_lead_to_their_frame(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    frames = [pair(k) for k in range(12)]
    frames[4][..., :3] = frames[4][..., :3] // 4  # a frame that is much darker
    folder = write_images(tmp_path / "flash", frames)
    archive = tmp_path / "flash.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for picture in sorted(folder.iterdir()):
            file.write(picture, f"flash/{picture.name}")
    with visit(browser, server, DESK) as page:
        cut_out(page, archive)
        assert facts(page)["chosen"] == 12
        link = page.locator("#cutout-notices button", has_text=re.compile("^frame 5$")).first
        link.click()
        expect(page.locator("ar4d-cutout .scrub output")).to_have_text("frame 5 of 12")
        end = page.get_by_label("End of the clip in seconds")
        area = end.bounding_box()
        assert area is not None
        place = (area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
        strip = page.locator("ar4d-cutout .strip").bounding_box()
        assert strip is not None
        drag(page, place, (strip["x"] + strip["width"] / 2, place[1]))
        page.wait_for_function(
            "() => JSON.parse(document.querySelector('ar4d-cutout').dataset.facts).chosen < 9"
        )
        assert facts(page)["end"] == pytest.approx(facts(page)["length"] / 2, rel=0.1)
        begin = page.get_by_label("Begin of the clip in seconds")
        begin.focus()
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "() => JSON.parse(document.querySelector('ar4d-cutout').dataset.facts).start > 0"
        )


def test_a_cut_out_is_counted_and_cancelled(browser: Browser, server: Server, tmp_path: Path) -> None:
    from benchmarks.support.animal import walking_cat

    path = walking_cat(24, 320, 240).write(tmp_path / "cat.mp4")
    with visit(browser, server, DESK) as page:
        upload(page, path)
        counted = page.locator(".cutting p")
        expect(counted).to_have_text(re.compile(r"Finding the subject: frame \d+ of 24"))
        expect(page.locator(".cutting img").first).to_be_visible()
        keep(page, "cut-out-progress")
        page.locator("#cancel-cutout").click()
        expect(page.locator("#cutout")).to_contain_text("The cut-out was cancelled")
        page.get_by_role("button", name="Choose another one").click()
        expect(page.get_by_role("tab", name="1 Input")).to_have_attribute("aria-selected", "true")


def test_several_pictures_are_one_clip_and_odd_ones_a_sentence(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    folder = write_images(tmp_path / "frames", [pair(k) for k in range(4)])
    other = tmp_path / "notes.txt"
    other.write_text("no picture")
    with visit(browser, server, DESK) as page:
        page.set_input_files("#drop input[type=file]", sorted(folder.iterdir()))
        page.locator("ar4d-cutout").wait_for()
        assert facts(page)["chosen"] == 4
        page.get_by_role("tab", name="1 Input").click()
        page.set_input_files("#drop input[type=file]", [*sorted(folder.iterdir()), other])
        expect(page.locator(".toast-body")).to_contain_text("notes.txt is no picture")


def test_views_from_other_sides_are_added_and_removed(
    browser: Browser, server: Server, clip: Path, tmp_path: Path
) -> None:
    side = tmp_path / "090.mp4"
    side.write_bytes(clip.read_bytes())
    with visit(browser, server, DESK) as page:
        cut_out(page, clip)
        page.get_by_role("button", name="Add views from other sides").click()
        page.set_input_files("#sides input[type=file]", side)
        expect(page.locator("#cutout")).to_contain_text("Also seen from 90°")
        keep(page, "cut-out-sides")
        page.get_by_role("button", name="Remove the views from other sides").click()
        expect(page.locator("#cutout")).not_to_contain_text("Also seen from")
        page.set_input_files("#sides input[type=file]", write_video(tmp_path / "nameless.mp4", [pair(0)] * 6))
        expect(page.locator("#cutout-notices .error")).to_contain_text("nameless.mp4 has no azimuth")
        expect(page.get_by_role("button", name="Continue")).to_be_enabled()


def test_the_state_leads_and_no_run_is_made_twice_unasked(
    browser: Browser, server: Server, clip: Path
) -> None:
    with visit(browser, server, DESK) as page:
        cut_out(page, clip)
        page.get_by_role("button", name="Continue").click()
        arrows = page.locator("#facing [role=radio]")
        expect(arrows).to_have_count(8)
        page.get_by_role("radio", name=re.compile("^Faces front-left")).click()
        expect(page.locator("#facing")).to_contain_text("It faces front-left in the first frame, as you said")
        keep(page, "generate-facing")
        page.locator("#generate").click()
        expect(page.locator("#cancel-run")).to_be_visible()
        expect(page.locator("#generate")).to_be_hidden()
        page.wait_for_function("() => / – AR4D$/.test(document.title)")
        wait_for_state(page, "finished")
        expect(page.get_by_role("tab", name="4 Result")).to_have_attribute("aria-selected", "true")
        assert page.title().startswith("✓ Finished")
        runs = list(server.service.storage.all_runs())
        run = max(runs, key=lambda folder: folder.stat().st_mtime)
        assert Run.open(run).record.recipe.settings.facing == "front-left"  # type: ignore[union-attr]
        keep(page, "result-facing")
        page.get_by_role("tab", name="3 Generate").click()
        expect(page.locator("#see-result")).to_be_visible()
        page.get_by_role("button", name="Generate again").click()
        expect(page.locator("#same-run")).to_contain_text("The same clip was lifted with the same settings")
        assert len(list(server.service.storage.all_runs())) == len(runs)
        page.get_by_role("button", name="Open the one there is").click()
        expect(page.get_by_role("tab", name="4 Result")).to_have_attribute("aria-selected", "true")
        page.get_by_role("button", name="The back looks wrong?").click()
        page.locator("#facing-result").get_by_role("radio", name=re.compile("^Faces right")).click()
        page.get_by_role("button", name="Make it again").click()
        expect(page.locator("#panel .panel")).not_to_have_attribute("data-run", run.name)
        wait_for_state(page, "finished")
        newest = max(server.service.storage.all_runs(), key=lambda folder: folder.stat().st_mtime)
        assert Run.open(newest).record.recipe.settings.facing == "right"  # type: ignore[union-attr]


def test_corrections_are_stored_with_the_run_and_in_its_command(
    browser: Browser, server: Server, clip: Path
) -> None:
    with visit(browser, server, DESK) as page:
        cut_out(page, clip)
        page.get_by_role("button", name="− Drop").click()
        page.mouse.click(*at(page, *BLUE))
        corrected(page, 1)
        page.reload()
        page.locator("ar4d-cutout").wait_for(state="attached")
        assert len(facts(page)["corrections"]["marks"]) == 1
        page.get_by_role("tab", name="3 Generate").click()
        page.locator("#generate").click()
        wait_for_state(page, "finished")
        expect(page.locator("#command")).to_contain_text("--drop 1:0.5")
        newest = max(server.service.storage.all_runs(), key=lambda folder: folder.stat().st_mtime)
        drafts = server.service.storage.root.glob("*/drafts/*/draft.json")
        record = CutoutRecord.read(max(drafts, key=lambda p: p.stat().st_mtime).parent)
        assert Run.open(newest).record.recipe.clip == record.settings


def test_the_prompt_shows_its_box_where_it_cannot_work(browser: Browser, server: Server) -> None:
    with visit(browser, server, DESK) as page:
        page.get_by_role("tab", name="Prompt").click()
        expect(page.get_by_label("Subject")).to_be_disabled()
        expect(page.get_by_text("Making a clip from words needs a larger machine")).to_be_visible()
        keep(page, "prompt-without-gpu")
