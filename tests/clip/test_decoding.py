from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ar4d.clip.decoding import Video
from ar4d.errors import UserError
from tests.support.footage import HEIGHT, WIDTH, center_of, disk, moving_disk, over, write_video


def on_white(num_frames: int) -> list[np.ndarray]:
    return [over(picture) for picture in moving_disk(num_frames)]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mp4", "libx264"),
        ("mov", "libx264"),
        ("mkv", "libx264"),
        ("webm", "libvpx-vp9"),
        ("avi", "mpeg4"),
        ("avi", "libx264"),  # B-frames without usable time stamps
        ("ts", "libx264"),
    ],
)
def test_the_very_frames_that_are_wanted_come_back(tmp_path, suffix, codec):
    video = Video(write_video(tmp_path / f"disk.{suffix}", on_white(30), codec), None)
    assert (video.width, video.height, len(video.times)) == (WIDTH, HEIGHT, 30)
    assert video.length == pytest.approx(3.0, abs=0.01)
    np.testing.assert_allclose(video.times, np.arange(30) / 10, atol=2e-3)
    wanted = [0, 3, 4, 17, 29]
    found = dict(video.read(wanted, 1.0))
    assert list(found) == wanted
    for index, picture in found.items():
        assert picture.shape == (HEIGHT, WIDTH, 4)
        assert center_of(picture) == pytest.approx((20 + index, HEIGHT / 2), abs=0.5)


def test_seeking_finds_the_same_frames_as_decoding_everything(tmp_path):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(60)]
    path = write_video(tmp_path / "noise.mp4", noise, options={"g": "7", "bf": "3", "sc_threshold": "0"})
    video = Video(path, None)
    with av.open(str(path)) as container:
        everything = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    for index, picture in video.read(range(1, 60, 11), 1.0):
        errors = [np.abs(picture[..., :3] - frame).mean() for frame in everything]
        assert int(np.argmin(errors)) == index


def test_variable_frame_rate_keeps_its_times(tmp_path):
    milliseconds = [0, 10, 20, 30, 500, 600, 1400]
    video = Video(write_video(tmp_path / "vfr.mkv", on_white(7), milliseconds=milliseconds), None)
    np.testing.assert_allclose(video.times, np.array(milliseconds) / 1000, atol=1e-6)


def test_a_frame_rate_of_the_users_replaces_the_files(tmp_path):
    video = Video(write_video(tmp_path / "disk.mp4", on_white(5)), 50.0)
    np.testing.assert_allclose(video.times, np.arange(5) / 50)
    assert video.length == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("matrix", "size", "center"),  # the disk's centre in the stored picture is (20, 24), 96×64 large
    [
        ([1, 0, 0, 0, 1, 0], (96, 64), (20, 24)),
        ([0, 1, 0, -1, 0, 0], (64, 96), (40, 20)),  # clockwise, as a phone held upright writes it
        ([0, -1, 0, 1, 0, 0], (64, 96), (24, 76)),
        ([-1, 0, 0, 0, -1, 0], (96, 64), (76, 40)),
        ([-1, 0, 0, 0, 1, 0], (96, 64), (76, 24)),  # mirrored, as front cameras do
        ([0, 1, 0, 1, 0, 0], (64, 96), (24, 20)),
    ],
)
def test_the_display_matrix_is_honoured(tmp_path, matrix, size, center):
    path = write_video(tmp_path / "turned.mp4", [over(disk(20, 24))], matrix=matrix)
    video = Video(path, None)
    assert (video.width, video.height) == size
    ((_, picture),) = video.read([0], 1.0)
    assert picture.shape == (size[1], size[0], 4)
    assert center_of(picture) == pytest.approx(center, abs=0.5)


def test_hdr_is_told(tmp_path):
    options = {"x264-params": "transfer=arib-std-b67"}
    assert "HDR" in Video(write_video(tmp_path / "hlg.mp4", on_white(1), options=options), None).warnings[0]


def test_pixels_become_square(tmp_path):
    video = Video(write_video(tmp_path / "wide.mp4", on_white(1), aspect=Fraction(4, 3)), None)
    assert (video.width, video.height) == (128, HEIGHT)
    ((_, picture),) = video.read([0], 1.0)
    assert center_of(picture) == pytest.approx((20 * 4 / 3, 32), abs=1)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("alpha.webm", "libvpx-vp9", "yuva420p"),
        ("alpha.mov", "prores_ks", "yuva444p10le"),
        ("alpha.mov", "qtrle", "argb"),
        ("alpha.mkv", "ffv1", "bgra"),
    ],
)
def test_alpha_comes_through(tmp_path, name, codec, pix_fmt):
    pictures = moving_disk(3)
    video = Video(write_video(tmp_path / name, pictures, codec, pix_fmt), None)
    found = [picture for _, picture in video.read([0, 1, 2], 1.0)]
    for picture, original in zip(found, pictures, strict=True):
        error = np.abs(picture[..., 3].astype(int) - original[..., 3])
        assert error.mean() < 3
        inside = original[..., 3] == 255
        assert np.abs(picture[inside].astype(int) - original[inside]).mean() < 12


def test_colours_follow_the_files_matrix(tmp_path):
    color = (200, 60, 30)
    picture = np.full((64, 64, 3), color, np.uint8)
    path = tmp_path / "tagged.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv444p"
        stream.codec_context.colorspace = 1  # BT.709
        rgb = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = rgb.reformat(format="yuv444p", dst_colorspace="ITU709")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    ((_, found),) = Video(path, None).read([0], 1.0)
    np.testing.assert_allclose(found[32, 32, :3].astype(int), color, atol=4)


def test_frames_are_shrunk_while_they_are_read(tmp_path):
    video = Video(write_video(tmp_path / "disk.mp4", on_white(3)), None)
    ((_, picture),) = video.read([2], 0.5)
    assert picture.shape == (HEIGHT // 2, WIDTH // 2, 4)
    assert center_of(picture) == pytest.approx((11, 16), abs=0.6)


def test_a_video_that_is_cut_off_yields_what_can_be_read(tmp_path):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(40)]
    path = write_video(
        tmp_path / "whole.mp4", noise, options={"g": "10"}, container_options={"movflags": "faststart"}
    )
    half = tmp_path / "half.mp4"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video = Video(half, None)
    assert 10 <= len(video.times) <= 25
    assert len(video.warnings) == 1
    assert "half.mp4 is cut off" in video.warnings[0]
    assert len(list(video.read(range(len(video.times)), 1.0))) >= len(video.times) - 3
    assert Video(path, None).warnings == []


def _text(path: Path) -> None:
    path.write_text("Once upon a time there was a text that was called a video.\n" * 50)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n")


def _no_index(path: Path) -> None:
    whole = write_video(path.with_suffix(".whole.mp4"), on_white(5))
    path.write_bytes(whole.read_bytes()[:700])


def _sound_alone(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("write", [_text, _empty, _playlist, _no_index, _sound_alone])
def test_what_is_no_video_is_refused_in_one_sentence(tmp_path, write):
    path = tmp_path / "clip.mp4"
    write(path)
    with pytest.raises(UserError, match=r"clip\.mp4") as caught:
        Video(path, None)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
