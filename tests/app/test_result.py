"""The result in a real browser, by mouse and keyboard: files, camera path, clean-up, and the list of runs."""

from __future__ import annotations

import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from app.main import Server
from ar4d.runs import Run
from tests.support.browser import CHROMIUM
from tests.support.results import add_run, card, open_run, serving_one_visitor
from tests.support.visiting import DESK, NARROW, keep, visit

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
REFUSED = ("400 (Bad Request)", "404 (Not Found)")  # 404: the viewer of a deleted run is closed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_one_visitor(tmp_path_factory.mktemp("runs")) as started:
        yield started


def fill(page: Page, format: str, **values: str) -> None:
    """Opens the options of a card and types values."""
    box = card(page, format)
    if not box.get_by_text("More").first.is_visible():
        box.locator("summary").first.click()
    for label, value in values.items():
        box.get_by_label(label.replace("_", " "), exact=False).first.fill(value)


def make(page: Page, format: str, button: str = "Make and download") -> Path:
    """Presses the button of a card; returns the file that the browser got."""
    with page.expect_download() as download:
        card(page, format).get_by_role("button", name=button).click()
    path = Path(download.value.path())
    return path.rename(path.with_name(download.value.suggested_filename))


def drag(page: Page, corners: list[tuple[float, float]]) -> None:
    """Drags the mouse over the viewer; corners are fractions of its size."""
    box = page.locator("iframe.viewer").bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=6)
    page.mouse.up()


def test_one_press_makes_and_downloads_and_nothing_is_stale(browser: Browser, server: Server) -> None:
    add_run(server.service, "ball.mp4", elevation_deg=20.0)
    with visit(browser, server, DESK) as page:
        open_run(page, "ball.mp4")
        expect(card(page, "mp4")).to_contain_text("about")
        expect(card(page, "mp4")).to_contain_text("opens in everything that plays video")
        fill(page, "mp4", Seconds="0.5", Height="64")
        expect(card(page, "mp4").get_by_label("Elevation")).to_have_value("20")  # that of the clip's camera
        path = make(page, "mp4")
        assert path.name == "ball.mp4"
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert (stream.average_rate, stream.width, stream.height) == (30, 64, 64)
            assert sum(1 for _ in container.decode(stream)) == 15
        size = path.stat().st_size
        expect(card(page, "mp4")).to_contain_text(f"ball.mp4, {max(1, round(size / 1000))} kB")
        again = make(page, "mp4", "Download again")
        assert again.stat().st_size == size
        keep(page, "result-made")
        fill(page, "mp4", Seconds="0.2")
        expect(card(page, "mp4").get_by_role("button", name="Download again")).to_have_count(0)
        with av.open(str(make(page, "mp4"))) as container:
            assert sum(1 for _ in container.decode(container.streams.video[0])) == 6
        # Another format's button never gives the file before.
        plys = make(page, "ply")
        assert plys.name == "ball-ply.zip"
        with zipfile.ZipFile(plys) as archive:
            assert len([name for name in archive.namelist() if name.endswith(".ply")]) == 3


def test_a_picture_is_the_present_view(browser: Browser, server: Server) -> None:
    add_run(server.service, "still.mp4")
    with visit(browser, server, DESK) as page:
        open_run(page, "still.mp4")
        drag(page, [(0.5, 0.5), (0.7, 0.5)])
        fill(page, "png", Height="120")
        with Image.open(make(page, "png")) as image:
            assert image.mode == "RGBA"
            assert image.height == 120
            box = page.locator("iframe.viewer").bounding_box()
            assert box is not None
            assert image.width > 60
            alpha = np.asarray(image)[..., 3]
        assert alpha[:3].max() == 0
        assert alpha.max() > 200


def test_the_cameras_own_path(browser: Browser, server: Server) -> None:
    add_run(server.service, "path.mp4")
    with visit(browser, server, DESK, expected=REFUSED) as page:
        open_run(page, "path.mp4")
        fill(page, "webm", Seconds="0.5", Height="48")
        box = card(page, "webm")
        keys = box.locator(".keys li")
        add = box.get_by_role("button", name="Add the present view")
        add.click()
        expect(keys).to_have_count(1)
        box.get_by_role("button", name="Make and download").click()
        expect(box.get_by_role("alert")).to_have_text(
            "A camera path needs at least two key frames, and this one has 1."
        )
        page.locator("iframe.viewer").scroll_into_view_if_needed()
        drag(page, [(0.4, 0.4), (0.6, 0.4)])
        add.click()
        drag(page, [(0.4, 0.4), (0.4, 0.55)])
        add.click()
        expect(keys).to_have_count(3)
        texts = keys.all_inner_texts()
        assert len({text.split("°")[0] for text in texts}) >= 2, texts
        box.get_by_role("button", name="Move key frame 3 up").click()
        moved = keys.all_inner_texts()
        assert moved[1].split("\n")[0] == texts[2].split("\n")[0]
        box.get_by_role("button", name="Delete key frame 1").press("Enter")
        expect(keys).to_have_count(2)
        box.get_by_role("button", name="Preview").click()
        expect(box.get_by_role("button", name="Preview")).to_be_visible()
        keep(page, "result-path")
        path = make(page, "webm")
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            frames = [f for packet in container.demux(stream) for f in decoder.decode(packet)]
            assert (stream.average_rate, len(frames)) == (30, 15)
            assert frames[0].format.name == "yuva420p"
            first, last = (f.to_ndarray(format="rgba").astype(float) for f in (frames[0], frames[-1]))
        assert first[..., 3].min() < 8
        assert np.abs(first - last).mean() > 2  # the camera moved


def test_a_cancelled_export_leaves_no_file(browser: Browser, server: Server) -> None:
    add_run(server.service, "long.mp4")
    with visit(browser, server, DESK) as page:
        open_run(page, "long.mp4")
        before = set(server.service.cache.iterdir())
        fill(page, "mp4", Seconds="20", Height="1024")
        box = card(page, "mp4")
        box.get_by_role("button", name="Make and download").press("Enter")
        expect(box).to_contain_text(re.compile(r"Rendering, \d+ of 600"))
        keep(page, "result-making")
        box.get_by_role("button", name="Cancel").press("Enter")
        expect(box).to_contain_text("Cancelled.")
        expect(box.get_by_role("button", name="Make and download")).to_be_visible()
        deadline = time.monotonic() + 60
        while set(server.service.cache.iterdir()) - before and time.monotonic() < deadline:
            time.sleep(0.2)
        assert set(server.service.cache.iterdir()) == before


def test_what_cannot_be_made_is_one_sentence_in_its_card(browser: Browser, server: Server) -> None:
    folder = add_run(server.service, "odd.mp4")
    with visit(browser, server, DESK, expected=REFUSED) as page:
        open_run(page, "odd.mp4")
        for height, sentence in (
            ("33", "An MP4 needs an even width and height, not 33 × 33; change the size."),
            ("9000", "A picture of 9000 × 9000 pixels is out of range; each side has 16 to 4096 pixels."),
        ):
            fill(page, "mp4", Seconds="0.1", Height=height)
            card(page, "mp4").get_by_role("button", name="Make and download").click()
            expect(card(page, "mp4").get_by_role("alert")).to_have_text(sentence)
        server.service.delete(folder)
        card(page, "glb").get_by_role("button", name="Make and download").click()
        expect(card(page, "glb").get_by_role("alert")).to_contain_text("This run is gone")


def test_splats_are_deleted_by_box_lasso_and_opacity(browser: Browser, server: Server) -> None:
    folder = add_run(server.service, "clean.mp4")
    with visit(browser, server, DESK, expected=REFUSED) as page:
        open_run(page, "clean.mp4")
        page.get_by_text("Clean up: delete splats by hand").click()
        tools = page.locator("ar4d-cleanup")
        expect(tools).to_contain_text("600 of 600 splats are kept")
        tools.get_by_role("button", name="Box").click()
        page.locator("iframe.viewer").scroll_into_view_if_needed()
        drag(page, [(0.02, 0.02), (0.5, 0.98)])
        expect(tools).to_contain_text(re.compile(r"\d+ of 600 splats are selected"))
        expect(page.locator("#viewer img")).to_be_visible()
        keep(page, "result-selection")
        selected = tools.get_by_text("of 600 splats are selected").inner_text()
        taken = int(selected.split()[0])
        assert 200 < taken < 400
        tools.get_by_role("button", name="Delete").click()
        left = 600 - taken
        expect(tools).to_contain_text(f"{left} of 600 splats are kept, in all frames.")
        shown = "n => document.querySelector('iframe.viewer').contentWindow.ar4d.state.revision >= n"
        page.wait_for_function(shown, arg=1)
        assert len(Run.open(folder).result().at(0.5)) == left
        assert len(Run.open(folder).asset().at(0.5)) == 600
        keep(page, "result-deleted")

        expect(page.get_by_label("Which result")).to_be_visible()
        for choice, count in (("As cleaned up", left), ("As made, with every splat", 600)):
            page.get_by_label("Which result").select_option(choice)
            with zipfile.ZipFile(make(page, "ply")) as archive:
                name = next(name for name in archive.namelist() if name.endswith(".ply"))
                assert f"element vertex {count}".encode() in archive.read(name)

        tools.get_by_role("button", name="Lasso").click()
        drag(page, [(0.5, 0.3), (0.7, 0.3), (0.7, 0.6), (0.5, 0.6)])
        expect(tools).to_contain_text(re.compile(rf"\d+ of {left} splats are selected"))
        tools.get_by_role("button", name="Invert").click()
        tools.get_by_role("button", name="Deselect").click()
        tools.get_by_role("button", name="Box").click()
        drag(page, [(0.01, 0.01), (0.99, 0.99)])
        expect(tools).to_contain_text(f"{left} of {left} splats are selected")
        tools.get_by_role("button", name="Delete").click()
        expect(tools.get_by_role("alert")).to_contain_text("This would delete all 600 splats")
        page.locator("canvas.selection").press("Escape")
        expect(page.locator("canvas.selection")).to_have_count(0)

        tools.get_by_label("Opacity below").fill("0.5")
        expect(tools).to_contain_text(f"0 of {left} splats are selected")
        tools.get_by_role("button", name="Undo").press("Enter")
        expect(tools).to_contain_text("600 of 600 splats are kept")
        expect(page.get_by_label("Which result")).to_have_count(0)


def test_a_box_is_drawn_by_the_keyboard(browser: Browser, server: Server) -> None:
    add_run(server.service, "keys.mp4")
    with visit(browser, server, DESK) as page:
        open_run(page, "keys.mp4")
        page.get_by_text("Clean up: delete splats by hand").click()
        tools = page.locator("ar4d-cleanup")
        tools.get_by_role("button", name="Box").press("Enter")
        sheet = page.locator("canvas.selection")
        expect(sheet).to_be_focused()
        for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowDown", "Shift+ArrowRight", "Enter"):
            page.keyboard.press(key)
        expect(tools).to_contain_text(re.compile(r"[1-9]\d* of 600 splats are selected"))


def test_runs_have_names_an_order_and_a_question_before_they_go(browser: Browser, server: Server) -> None:
    for name in ("zebra.mp4", "ant.mp4"):
        add_run(server.service, name)
    with visit(browser, server, DESK) as page:
        page.get_by_role("tab", name="Runs").click()
        zebra = page.locator(".runs .card", has_text="zebra.mp4")
        zebra.get_by_role("button", name="Rename").click()
        page.get_by_label("Name of the run").fill("Aardvark <b>1</b>")
        page.keyboard.press("Enter")
        named = page.locator(".runs .card", has_text="Aardvark <b>1</b>")
        expect(named).to_have_count(1)
        page.get_by_label("Sort").select_option("By name")
        expect(page.locator(".runs .card").first).to_contain_text("Aardvark")
        keep(page, "result-runs")
        named.get_by_role("button", name="Delete").click()
        expect(named).to_contain_text("Delete it for good?")
        named.get_by_role("button", name="Keep it").press("Enter")
        expect(named.get_by_role("button", name="Delete", exact=True)).to_be_visible()
        named.get_by_role("button", name="Delete", exact=True).click()
        named.get_by_role("button", name="Yes, delete").click()
        expect(named).to_have_count(0)
        expect(page.locator(".runs .card").first).to_contain_text("ant.mp4")


def test_pictures_follow_the_viewer_and_are_enlarged(browser: Browser, server: Server) -> None:
    add_run(server.service, "follow.mp4")
    with visit(browser, server, DESK) as page:
        open_run(page, "follow.mp4")
        stages = page.locator("ar4d-stages")
        page.frame_locator("iframe.viewer").locator("[data-part=scrub]").evaluate(
            "(e) => { e.value = 2; e.dispatchEvent(new Event('input')); }"
        )
        expect(stages).to_contain_text("frame 3 of 3")
        stages.get_by_role("slider").fill("1")
        position = "() => document.querySelector('iframe.viewer').contentWindow.ar4d.clock.position === 0"
        page.wait_for_function(position)
        stages.get_by_role("button", name="Enlarge: Input").click()
        expect(stages.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(stages.get_by_role("dialog")).to_be_hidden()


def test_a_narrow_dark_page_has_everything_in_reach(browser: Browser, server: Server) -> None:
    add_run(server.service, "narrow.mp4")
    with visit(browser, server, NARROW, color_scheme="dark", has_touch=True) as page:
        open_run(page, "narrow.mp4")
        card(page, "mp4").locator("summary").first.click()
        keep(page, "result-narrow-dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
        for button in card(page, "gif").get_by_role("button").all():
            box = button.bounding_box()
            assert box is None or box["height"] >= 44
        card(page, "mp4").scroll_into_view_if_needed()
        keep(page, "result-narrow-dark-card")
        page.get_by_role("tab", name="Runs").click()
        keep(page, "result-narrow-dark-runs")
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]


def test_empty_steps_lead_on(browser: Browser, tmp_path: Path) -> None:
    with serving_one_visitor(tmp_path) as server, visit(browser, server, DESK) as page:
        for tab in ("4 Result", "Runs"):
            page.get_by_role("tab", name=tab).click()
            page.locator(".panel.empty:visible").get_by_role("button", name="Choose a clip").press("Enter")
            expect(page.get_by_role("tab", name="1 Input")).to_have_attribute("aria-selected", "true")
        keep(page, "result-empty")
