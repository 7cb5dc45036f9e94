"""The page, read back and seen in a browser that has no network."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from ar4d.cameras import orbit
from ar4d.formats import PlayerOptions, export
from ar4d.formats.player import ENLARGEMENT, STEPS, pack
from ar4d.gaussians import rotation_matrices
from ar4d.rendering import render
from tests.support.browser import CHROMIUM, chromium, opened, screenshot, splats, wait_for_splats
from tests.support.moving import SpinningBall


def test_packed_splats():
    g = SpinningBall().at(0.3)
    buffer = pack(g)
    assert (buffer.dtype, buffer.shape) == (np.uint32, (600, 8))
    centers = buffer[:, :3].view(np.float32) / ENLARGEMENT
    np.testing.assert_allclose(centers, g.means, atol=0.51 / STEPS)
    factors = rotation_matrices(g.quats) @ torch.diag_embed(g.scales)
    covariances = (factors @ factors.mT).numpy()
    stored = np.ascontiguousarray(buffer[:, 4:7]).view(np.float16).astype(float) / ENLARGEMENT**2
    rows, columns = np.triu_indices(3)
    np.testing.assert_allclose(stored, covariances[:, rows, columns], atol=1e-3 * covariances.max())
    rgba = np.ascontiguousarray(buffer[:, 7:]).view(np.uint8)
    np.testing.assert_allclose(rgba[:, :3], g.colors * 255, atol=0.51)
    np.testing.assert_allclose(rgba[:, 3], g.opacities * 255, atol=0.51)


def test_small_gaussians_keep_their_size():
    """Half floats have steps of 6e-8 near zero: a variance of 1e-6 would be off by 3 %, not enlarged."""
    g = SpinningBall().at(0.0)
    g = type(g)(g.means, g.quats, g.scales * 0 + 1e-3, g.opacities, g.colors)
    diagonal = np.ascontiguousarray(pack(g)[:, 4:7]).view(np.float16)[:, [0, 3, 5]].astype(float)
    np.testing.assert_allclose(np.sqrt(diagonal) / ENLARGEMENT, 1e-3, rtol=1e-3)


def test_the_page_needs_nothing_but_itself_and_says_nothing(tmp_path, capfd):
    options = PlayerOptions(title="a <b> & c", num_frames=2)
    (path,) = export(SpinningBall(), "html", tmp_path / "a.html", options)
    page = path.read_text()
    assert "<title>a &lt;b&gt; &amp; c</title>" in page
    assert "__VISER_EMBED_DATA__" in page
    assert 'src="http' not in page
    assert capfd.readouterr().out == ""


def shown_frame(page) -> np.ndarray:
    """The middle square of the canvas."""
    canvas = page.locator("canvas[data-engine]").bounding_box()
    assert canvas is not None
    side = math.floor(canvas["height"])
    clip = {"x": canvas["x"] + (canvas["width"] - side) / 2, "y": canvas["y"], "width": side, "height": side}
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB"))


def agreement(page, asset: SpinningBall, t: float) -> float:
    """PSNR of what the page shows against the asset's own render from the clip's camera, without the
    corner that a notice about software rendering may cover."""
    shown = shown_frame(page).astype(float)
    wanted = render(asset.at(t), orbit(0.0, 20.0, size=len(shown))).rgb[0].numpy().clip(0, 1) * 255
    error = (shown - wanted) ** 2
    error[:130, :250] = 0
    return float(10 * np.log10(255**2 / error.mean()))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_plays_scrubs_and_loops_from_a_file(tmp_path):
    asset = SpinningBall(num_frames=4, fps=4.0)
    (path,) = export(asset, "html", tmp_path / "a.html", PlayerOptions(elevation_deg=20.0))
    with chromium() as browser, opened(browser, path.as_uri(), 760, 552, offline=True) as page:
        wait_for_splats(page, 599, "/asset")
        for moment in ("> 0.7", "< 0.3"):  # it plays by itself, and over its end
            page.wait_for_function(f"Number(document.querySelector('input').value) {moment}")
        page.keyboard.press("Space")
        page.wait_for_timeout(2000)  # splats fade in
        slider = page.locator(".mantine-Slider-root").bounding_box()
        assert slider is not None
        for frame in (3, 1):  # back takes another way through viser's player than forth
            page.mouse.click(
                slider["x"] + slider["width"] * (frame + 0.5) / 4, slider["y"] + slider["height"] / 2
            )
            page.wait_for_timeout(1000)
            np.testing.assert_array_equal(splats(page, "/asset")[:, 7], pack(asset.at(frame / 3))[:, 7])
            screenshot(page, f"player_frame_{frame}")
            assert agreement(page, asset, frame / 3) > 30
            assert agreement(page, asset, frame / 3) > agreement(page, asset, (3 - frame) / 3) + 3
