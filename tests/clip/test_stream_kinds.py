"""Streams whose colours, times or shape are not what a plain decoder makes of them."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from ar4d.clip import ClipSettings, load_clip
from ar4d.clip.decoding import Video
from ar4d.clip.sources import open_source
from tests.support.footage import RED, center_of, disk, moving_disk, only_picture, over, write_video

SIZE = (256, 256)


@pytest.mark.parametrize(("height", "matrix"), [(720, 1), (240, 5)])
def test_untagged_video_has_the_matrix_of_its_size(tmp_path, height, matrix):
    color = (200, 60, 30)
    picture = np.full((height, 128, 3), color, np.uint8)
    path = tmp_path / "untagged.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, height, "yuv444p"
        rgb = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = rgb.reformat(format="yuv444p", dst_colorspace=matrix)
        frame.colorspace = 2
        stream.codec_context.colorspace = 2
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    np.testing.assert_allclose(only_picture(Video(path, None))[9, 9, :3].astype(int), color, atol=3)


def test_premultiplied_colours_are_divided_by_alpha(tmp_path):
    pictures = [disk(48 + k, 32, 20) for k in range(3)]
    blurred = []
    for picture in pictures:
        soft = np.asarray(Image.fromarray(picture[..., 3]).resize((24, 16)).resize((96, 64)))
        premultiplied = np.round(np.array(RED) * (soft[..., None] / 255)).astype(np.uint8)
        blurred.append(np.dstack([premultiplied, soft]))
    path = write_video(tmp_path / "glow.mov", blurred, "qtrle", "argb")
    clip = load_clip(path, ClipSettings(framing="whole"), 96)
    assert any("premultiplied" in warning for warning in clip.warnings)
    soft = (clip.frames[..., 3] > 60) & (clip.frames[..., 3] < 200)
    assert soft.sum() > 100
    assert np.abs(clip.frames[soft][:, :3].astype(int) - RED).mean() < 6


def test_a_turned_webm_with_alpha_stands_upright(tmp_path):
    clockwise = [0, 1, 0, -1, 0, 0]
    path = write_video(tmp_path / "a.webm", [disk(20, 24)], "libvpx-vp9", "yuva420p", matrix=clockwise)
    video = Video(path, None)
    assert (video.width, video.height) == (64, 96)
    picture = only_picture(video)
    assert picture[..., 3].min() == 0
    assert center_of(picture) == pytest.approx((40, 20), abs=0.5)


def test_the_last_frame_stays_as_long_as_the_file_says(tmp_path):
    pictures = [Image.fromarray(picture) for picture in moving_disk(3)]
    path = tmp_path / "a.png"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 100, 700])
    assert open_source(path, None).length == pytest.approx(0.9)


def test_fractional_rates_stay_exact(tmp_path):
    path = tmp_path / "ntsc.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30000, 1001))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for picture in moving_disk(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(over(picture), format="rgb24")))
        container.mux(stream.encode(None))
    np.testing.assert_allclose(Video(path, None).times, np.arange(5) * 1001 / 30000, atol=1e-6)


def test_a_bare_stream_without_time_stamps_is_a_clip(tmp_path):
    write_video(tmp_path / "disk.mp4", [over(picture) for picture in moving_disk(8)], fps=24)
    with av.open(str(tmp_path / "disk.mp4")) as container, (tmp_path / "disk.h264").open("wb") as bare:
        stream = container.streams.video[0]
        filter = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in [*container.demux(stream), None]:
            bare.writelines(bytes(part) for part in filter.filter(packet))
    video = Video(tmp_path / "disk.h264", None)
    assert "has no time stamps: 25 frames a second are assumed; --fps changes that" in video.warnings[0]
    np.testing.assert_allclose(np.diff(video.times), 1 / 25)
    for index, picture in video.read(range(8), 1.0):
        assert center_of(picture)[0] == pytest.approx(20 + index, abs=0.6)
    assert Video(tmp_path / "disk.h264", 24.0).times[1] == pytest.approx(1 / 24)


@pytest.mark.parametrize("first", [True, False])
def test_a_preview_picture_stored_as_a_video_is_not_the_clip(tmp_path, first):
    path = tmp_path / "preview.mkv"
    with av.open(str(path), "w") as container:
        streams = {}
        for name in ("preview", "clip") if first else ("clip", "preview"):
            stream = container.add_stream("mjpeg" if name == "preview" else "libx264", rate=10)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = (192, 128) if name == "preview" else (96, 64)
            stream.pix_fmt = "yuvj420p" if name == "preview" else "yuv420p"
            streams[name] = stream
        still = np.full((128, 192, 3), 60, np.uint8)
        for name, pictures in (("preview", [still]), ("clip", map(over, moving_disk(4)))):
            for picture in pictures:
                container.mux(streams[name].encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(streams[name].encode(None))
    video = Video(path, None)
    assert (video.width, video.height, len(video.times)) == (96, 64, 4)
    number = 2 if first else 1
    assert f"holds 2 videos: only video {number}, 96×64 pixels large, is used" in video.warnings[0]


def test_a_stream_cut_in_an_open_group_of_pictures_names_what_is_lost(tmp_path):
    """A recording that begins in the middle: its first frames refer to a picture before the cut."""
    options = {"crf": "14", "x264-params": "keyint=20:min-keyint=20:open-gop=1:bframes=3:scenecut=0"}
    pictures = [over(disk(14 + k)) for k in range(60)]
    write_video(tmp_path / "whole.ts", pictures, fps=30, options=options)
    keys = 0
    with av.open(str(tmp_path / "whole.ts")) as whole, av.open(str(tmp_path / "cut.ts"), "w") as cut:
        stream = whole.streams.video[0]
        copy = cut.add_stream_from_template(stream)
        for packet in whole.demux(stream):
            keys += packet.is_keyframe
            if packet.dts is not None and keys >= 2:
                packet.stream = copy
                cut.mux(packet)
    clip = load_clip(tmp_path / "cut.ts", ClipSettings(num_frames=8), 64)
    middles = [clip.crop.x + center_of(frame)[0] * clip.crop.side / clip.size for frame in clip.frames]
    assert np.diff(middles).min() > 4  # in order, none twice
    assert middles[-1] > 68
    assert any("is used without frame" in warning for warning in clip.warnings)
