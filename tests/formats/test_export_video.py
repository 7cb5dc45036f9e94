"""Videos are decoded again and compared with what was rendered."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from ar4d.cameras import around, orbit
from ar4d.errors import UserError
from ar4d.formats import (
    ClearVideoOptions,
    PictureOptions,
    VideoOptions,
    export,
    find_format,
    render_frames,
    render_views,
    write_frames,
)
from ar4d.formats.camera_path import camera_of
from ar4d.formats.video import Schedule, schedule
from ar4d.rendering import render
from tests.support.moving import SpinningBall


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((a.astype(float) - b) ** 2).mean()))


def decode(path) -> tuple[list[np.ndarray], av.VideoStream]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)], stream


def gif_frames(path) -> tuple[list[np.ndarray], list[int]]:
    frames, durations = [], []
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        for frame in ImageSequence.Iterator(image):
            frames.append(np.asarray(frame.convert("RGBA")))
            durations.append(frame.info["duration"])
    return frames, durations


def test_frames_are_renders_of_the_asset():
    asset = SpinningBall()
    frames = list(render_frames(asset, [0.0, 0.7], [0.0, 30.0], elevation_deg=10.0, radius=2.0, size=48))
    assert [f.shape for f in frames] == [(48, 48, 3)] * 2
    view = render(asset.at(0.7), orbit(30.0, 10.0, size=48, radius=2.0)).rgb[0]
    np.testing.assert_array_equal(frames[1], (view.clamp(0, 1) * 255 + 0.5).byte().numpy())


def test_transparent_frames_composite_back_to_the_white_ones():
    asset = SpinningBall()
    (clear,) = render_frames(asset, [0.2], [0.0], size=64, background="transparent")
    (white,) = render_frames(asset, [0.2], [0.0], size=64)
    assert clear.shape == (64, 64, 4)
    alpha = clear[..., 3:] / 255
    assert set(np.unique(alpha[:5])) == {0}
    assert alpha.max() > 0.9
    np.testing.assert_allclose(clear[..., :3] * alpha + 255 * (1 - alpha), white, atol=2)


def test_depth_is_grey_that_falls_with_distance_and_alpha_is_coverage():
    asset = SpinningBall(count=3000)
    (depth,) = render_frames(asset, [0.0], [0.0], size=65, mode="depth")
    # The ball's front lies at 1.5 - 0.4: 0.7 of the way from radius + 1 to radius - 1.
    np.testing.assert_allclose(depth[32, 32], 0.7 * 255, atol=4)
    assert depth[32, 32, 0] > depth[32, 45, 0] > depth[0, 0, 0] == 0
    (alpha,) = render_frames(asset, [0.0], [0.0], size=65, mode="alpha")
    wanted = render(asset.at(0.0), orbit(0.0, size=65)).alpha[0]
    np.testing.assert_allclose(alpha, wanted[..., None].expand(-1, -1, 3) * 255, atol=0.51)


def test_frames_are_made_when_they_are_asked_for():
    class Counting(SpinningBall):
        asked: list[float]

        def at(self, t):
            self.asked.append(t)
            return super().at(t)

    Counting.asked = []
    frames = render_frames(Counting(), [0.0, 0.5, 1.0], [0.0] * 3, size=16)
    next(frames)
    assert Counting.asked == [0.0]


def azimuths_of(plan: Schedule) -> list[float]:
    return [key.azimuth_deg for key in plan.cameras]


def test_schedule():
    asset = SpinningBall(num_frames=5, fps=4.0)  # lasts one second
    plan = schedule(asset, VideoOptions(orbit=False, azimuth_deg=20.0, fps=4))
    assert (plan.times, azimuths_of(plan)) == ([0, 0.25, 0.5, 0.75, 1], [20.0] * 5)
    slow = schedule(asset, VideoOptions(orbit=False, speed=0.5, fps=8))
    np.testing.assert_allclose(slow.times, np.arange(17) / 16)
    back_and_forth = schedule(asset, VideoOptions(orbit=False, bounce=True, plays=2, fps=4))
    np.testing.assert_allclose(back_and_forth.times, [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25] * 2)
    plan = schedule(asset, VideoOptions(azimuth_deg=-90.0, fps=4))
    assert len(plan.times) == 20  # four plays of five frames: the first number of them that fills 4 s
    assert (plan.cameras[0].azimuth_deg, plan.cameras[10].azimuth_deg) == (-90.0, 90.0)
    np.testing.assert_allclose(np.diff(azimuths_of(plan)), 18.0)
    for wrong in (
        VideoOptions(speed=0),
        VideoOptions(plays=-1),
        VideoOptions(seconds=0),
        VideoOptions(fps=0),
    ):
        with pytest.raises(UserError, match="above 0"):
            schedule(asset, wrong)
    with pytest.raises(UserError, match="at most 240 frames a second, not 1000"):
        schedule(asset, VideoOptions(fps=1000))


def test_a_video_has_its_rate_and_length_whatever_the_clips():
    for num_frames in (2, 6, 24):
        plan = schedule(SpinningBall(num_frames=num_frames, fps=12.0), VideoOptions(seconds=6))
        assert len(plan.times) == 180
        steps = np.abs(np.diff(plan.times))
        assert np.median(steps) < 12.0 / (num_frames - 1) / 30 * 1.5  # moments between the clip's frames
    left = schedule(SpinningBall(), VideoOptions(seconds=1, direction="left", turns=2))
    np.testing.assert_allclose(np.diff(azimuths_of(left)), -24.0)
    fitted = schedule(
        SpinningBall(num_frames=5, fps=4.0), VideoOptions(orbit=False, seconds=2, plays=1, fps=10)
    )
    np.testing.assert_allclose(fitted.times, np.arange(20) / 19)


def test_mp4_plays_everywhere_and_looks_like_the_renders(tmp_path):
    asset = SpinningBall(num_frames=5, fps=12.5)
    options = VideoOptions(size=98, orbit=False, fps=12.5)
    (path,) = export(asset, "mp4", tmp_path / "new" / "a.mp4", options)
    frames, stream = decode(path)
    context = stream.codec_context
    assert (context.name, context.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 12.5)
    assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)  # BT.709
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    rendered = list(render_frames(asset, [k / 4 for k in range(5)], [0.0] * 5, size=98))
    assert len(frames) == 5
    for shown, wanted in zip(frames, rendered, strict=True):
        assert psnr(shown, wanted) > 32
        assert abs(shown.astype(float) - wanted).mean() < 3


def test_mp4_keeps_colours(tmp_path):
    """A wrong matrix or range between RGB and YUV would shift a saturated red by 10 levels and more."""
    color = np.array([200, 30, 40], np.uint8)
    (path,) = write_frames([np.broadcast_to(color, (32, 32, 3))] * 3, tmp_path / "a.mp4", 10)
    np.testing.assert_allclose(decode(path)[0][1][16, 16], color, atol=3)


@pytest.mark.parametrize("background", ["white", "transparent"])
def test_gif(tmp_path, background):
    asset = SpinningBall(num_frames=4, fps=12.0)
    options = VideoOptions(size=64, orbit=False, background=background, fps=24.0)
    (path,) = export(asset, "gif", tmp_path / "a.gif", options)
    frames, durations = gif_frames(path)
    assert len(frames) == 7
    assert sum(durations) == pytest.approx(7 / 24 * 1000, abs=6)
    rendered = render_frames(asset, [k / 6 for k in range(7)], [0.0] * 7, size=64, background=background)
    for shown, wanted in zip(frames, rendered, strict=True):
        if background == "white":
            assert psnr(shown[..., :3], wanted) > 32
        else:
            np.testing.assert_array_equal(shown[..., 3] > 0, wanted[..., 3] >= 128)
            seen = wanted[..., 3] > 250
            assert psnr(shown[seen][:, :3], wanted[seen][:, :3]) > 28


def test_png_folder(tmp_path):
    frames = list(render_frames(SpinningBall(), [0, 1], [0, 90], size=20, background="transparent"))
    written = write_frames(iter(frames), tmp_path / "frames", 10)
    assert [p.name for p in written] == ["0000.png", "0001.png"]
    for path, wanted in zip(written, frames, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), wanted)


def test_what_a_format_cannot_carry_is_told(tmp_path):
    asset = SpinningBall()
    with pytest.raises(UserError, match="no transparency"):
        export(asset, "mp4", tmp_path / "a.mp4", VideoOptions(size=32, background="transparent"))
    with pytest.raises(UserError, match="even width and height, not 33 × 33"):
        export(asset, "mp4", tmp_path / "a.mp4", VideoOptions(size=33))
    with pytest.raises(UserError, match="WebM needs an even width and height, not 33 × 32"):
        export(asset, "webm", tmp_path / "a.webm", ClearVideoOptions(size=32, width=33))
    with pytest.raises(UserError, match=r"9000 × 512 pixels is out of range; each side has 16 to 4096"):
        export(asset, "mov", tmp_path / "a.mov", ClearVideoOptions(width=9000))
    with pytest.raises(UserError, match='no background "bluish"'):
        export(asset, "mp4", tmp_path / "a.mp4", VideoOptions(size=32, background="bluish"))
    with pytest.raises(UserError, match="at most 50 frames a second, not 60"):
        export(asset, "gif", tmp_path / "a.gif", VideoOptions(size=32, fps=60))
    assert not list(tmp_path.iterdir())


def test_renders_take_no_gradient_along():
    class Trained(SpinningBall):
        def at(self, t):
            return super().at(t).map(lambda x: x.requires_grad_())

    (frame,) = render_frames(Trained(), [0.0], [0.0], size=16)
    assert isinstance(frame, np.ndarray)
    assert torch.is_grad_enabled()


def decoded_with_alpha(path) -> tuple[list[np.ndarray], av.VideoStream]:
    """RGBA frames; libvpx's decoder reads the alpha that FFmpeg's own VP9 decoder drops."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = (
            av.CodecContext.create("libvpx-vp9", "r") if path.suffix == ".webm" else stream.codec_context
        )
        frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
        return [frame.to_ndarray(format="rgba") for frame in frames], stream


@pytest.mark.parametrize(("name", "codec", "alpha_error"), [("webm", "vp9", 12), ("mov", "prores", 3)])
def test_videos_with_transparency_keep_their_alpha(tmp_path, name, codec, alpha_error):
    asset = SpinningBall(num_frames=4, fps=12.0)
    options = ClearVideoOptions(size=64, width=96, seconds=0.5)
    (path,) = export(asset, name, tmp_path / f"a.{name}", options)
    frames, stream = decoded_with_alpha(path)
    assert (stream.codec_context.name, stream.average_rate) == (codec, 30)
    assert len(frames) == 15
    plan = schedule(asset, options)
    cameras = [camera_of(key, 96, 64) for key in plan.cameras]
    rendered = list(render_views(asset, plan.times, cameras, background="transparent"))
    for shown, wanted in zip(frames, rendered, strict=True):
        assert shown.shape == wanted.shape == (64, 96, 4)
        assert np.abs(shown[..., 3].astype(float) - wanted[..., 3]).mean() < alpha_error
        assert shown[..., 3][wanted[..., 3] == 0].mean() < 4
        seen = wanted[..., 3] > 250
        assert psnr(shown[seen][:, :3], wanted[seen][:, :3]) > 28


@pytest.mark.parametrize(("background", "corner"), [("black", (0, 0, 0)), ("#3366ff", (0x33, 0x66, 0xFF))])
def test_a_background_is_the_colour_that_was_asked_for(tmp_path, background, corner):
    options = VideoOptions(size=32, seconds=0.2, background=background)
    (path,) = export(SpinningBall(), "mp4", tmp_path / "a.mp4", options)
    np.testing.assert_allclose(decode(path)[0][2][1, 1], corner, atol=6)


def test_a_picture_is_the_view_that_was_asked_for(tmp_path):
    options = PictureOptions(
        time=0.4, azimuth_deg=50, elevation_deg=10, radius=1.2, target=(0.1, 0, 0), size=48, width=80
    )
    (path,) = export(SpinningBall(), "png", tmp_path / "a.png", options)
    camera = around((0.1, 0, 0), 50, 10, 1.2, width=80, height=48)
    (wanted,) = render_views(SpinningBall(), [0.4], [camera], background="transparent")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), wanted)
    with pytest.raises(UserError, match="radius above 0"):
        export(SpinningBall(), "png", tmp_path / "b.png", PictureOptions(radius=0))


@pytest.mark.parametrize("name", ["mp4", "webm", "mov", "gif", "ply"])
def test_an_export_that_is_stopped_leaves_no_file(tmp_path, name):
    class Stopped(Exception):
        pass

    seen = []

    def on_progress(task: str, done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise Stopped

    out = tmp_path / ("frames" if name == "ply" else f"a.{name}")
    kind = find_format(name)
    values = {} if name == "ply" else {"size": 32, "seconds": 0.3}
    with pytest.raises(Stopped):
        export(SpinningBall(), name, out, kind.make_options(values), on_progress=on_progress)
    assert seen[0][0] == 0
    assert seen[-1][1] == (3 if name == "ply" else seen[0][1])
    assert not list(tmp_path.iterdir())
