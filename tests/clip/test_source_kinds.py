"""Kinds of files that people really have: phones' photos, HDR and interlaced video, odd names and layers."""

import shutil
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image, ImageCms

from ar4d.clip import ClipSettings, load_clip
from ar4d.clip.colors import to_srgb
from ar4d.clip.decoding import Video
from ar4d.clip.sources import hold_frames, open_source
from ar4d.errors import UserError
from tests.support.apng import OVER, SOURCE, write_apng
from tests.support.footage import center_of, disk, moving_disk, only_picture, over, write_video
from tests.support.heic import write_heic

SIZE = (256, 256)


def test_a_photo_in_tiles_is_read_whole(tmp_path):
    original = over(disk(150, 100, 70, size=SIZE))
    source = open_source(write_heic(tmp_path / "photo.heic", original), None)
    assert (source.width, source.height) == SIZE
    assert np.abs(only_picture(source)[..., :3].astype(int) - original).mean() < 3
    clip = load_clip(tmp_path / "photo.heic", ClipSettings(), 128)
    assert (clip.crop.source_width, clip.crop.source_height) == SIZE
    area = (clip.frames[0, ..., 3] > 127).sum() * (clip.crop.side / 128) ** 2
    assert area == pytest.approx(np.pi * 70**2, rel=0.03)


def test_a_photos_alpha_and_rotation_are_kept(tmp_path):
    original = disk(150, 100, 70, size=SIZE)
    source = open_source(write_heic(tmp_path / "turned.heic", original, quarter_turns=1), None)
    picture = only_picture(source)
    expected = np.rot90(original)
    assert np.abs(picture[..., 3].astype(int) - expected[..., 3]).mean() < 2
    assert center_of(picture) == pytest.approx((100, 256 - 150), abs=1)


def hdr_video(path: Path, picture: np.ndarray, transfer: int) -> Path:
    """Encode an sRGB picture [h, w, 3] as 10-bit HDR with white at 203 cd/m²."""
    code = picture / 255
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    nits = 203 * (light @ to_2020.T)
    if transfer == 16:  # PQ: BT.2100, table 4
        root = (nits / 10000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375
    else:  # HLG: BT.2100, table 5, after the inverse of its system gamma on each channel
        scene = (nits / 1000) ** (1 / 1.2)
        log = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), log)
    kr, kb = 0.2627, 0.0593
    luma = signal @ [kr, 1 - kr - kb, kb]
    blue, red = (signal[..., 2] - luma) / (2 * (1 - kb)), (signal[..., 0] - luma) / (2 * (1 - kr))
    planes = np.stack([64 + 876 * luma, 512 + 896 * blue, 512 + 896 * red]).round().astype(np.uint16)
    frame = av.VideoFrame(picture.shape[1], picture.shape[0], "yuv444p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        rows[:, : plane.width] = values
        plane.update(rows.tobytes())
    name = {16: "smpte2084", 18: "arib-std-b67"}[transfer]
    colors = f"colorprim=bt2020:transfer={name}:colormatrix=bt2020nc:bframes=0:log-level=none"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=10, options={"x265-params": colors, "crf": "8"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "yuv444p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, transfer, 9
        frame.pts, frame.time_base = 0, Fraction(1, 10)  # x265 gives a single frame no valid time by itself
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def saturation(colors: np.ndarray) -> float:
    values = colors.astype(float)
    return float(((values.max(-1) - values.min(-1)) / np.maximum(values.max(-1), 1)).mean())


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_comes_in_with_the_colours_of_sdr(tmp_path, transfer):
    color = (120, 170, 85)
    original = over(disk(128, 128, 80, color, SIZE))
    path = hdr_video(tmp_path / "hdr.mov", original, transfer)
    picture = only_picture(open_source(path, None))
    np.testing.assert_allclose(picture[128, 128, :3].astype(int), color, atol=8)
    assert saturation(picture[128:130, 100:150, :3]) == pytest.approx(0.5, rel=0.1)
    assert picture[:8, :, :3].min() >= 250
    clip = load_clip(path, ClipSettings(), 64)
    assert clip.matting == "plain background"
    assert "HDR" in clip.warnings[0]


def test_highlights_above_white_become_white():
    pq_1000_nits, pq_100_nits = 49272, 33288
    colors = np.array([[[pq_1000_nits] * 3, [pq_100_nits] * 3]], np.uint16)
    white, grey = to_srgb(colors, 16, 9)[0]
    assert white.min() == 255
    expected = 255 * (1.055 * (100 / 203) ** (1 / 2.4) - 0.055)  # the sRGB value of 100 cd/m²
    np.testing.assert_allclose(grey, expected, atol=1.5)


def test_dolby_vision_without_a_base_layer_is_refused(tmp_path):
    path = tmp_path / "dolby.mp4"
    write_video(path, [np.zeros((128, 128, 3), np.uint8)] * 4, "libx265")  # a single one has no valid time
    data = path.read_bytes()
    assert data.count(b"hev1") == 1
    path.write_bytes(data.replace(b"hev1", b"dvh1"))  # the sample entry of profile 5
    with pytest.raises(UserError, match=r"dolby\.mp4 is Dolby Vision without a base layer"):
        Video(path, None)


def interlaced_pictures(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Frames woven of two fields in which a disk has moved on, and whole frames of the first field's time."""
    size, woven, whole = (320, 240), [], []
    for k in range(count):
        first, second = (over(disk(100 + 16 * k + step, 120, 50, size=size)) for step in (0, 8))
        frame = first.copy()
        frame[1::2] = second[1::2]
        woven.append(frame)
        whole.append(first)
    return woven, whole


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("flagged.mp4", "libx264", {"flags": "+ildct+ilme", "x264-params": "tff=1"}),
        ("unflagged.mp4", "libx264", {}),
        ("unflagged.mpg", "mpeg2video", {"b": "8M"}),
    ],
)
def test_interlaced_video_shows_one_outline(tmp_path, name, codec, options):
    woven, whole = interlaced_pictures(8)
    video = Video(write_video(tmp_path / name, woven, codec, "yuv420p", 25, options=options), None)
    assert "is interlaced" in " ".join(video.warnings)
    assert len(video.times) == 8
    for index, picture in video.read([2, 4], 1.0):
        found, expected = ((p[..., 1] < 140).sum() for p in (picture[..., :3].astype(int), whole[index]))
        assert found == pytest.approx(expected, rel=0.02)
        assert center_of(picture) == pytest.approx((100 + 16 * index, 120), abs=1.5)


def test_progressive_video_is_left_alone(tmp_path):
    _, whole = interlaced_pictures(8)
    video = Video(write_video(tmp_path / "whole.mp4", whole, fps=25), None)
    assert video.warnings == []


def test_a_name_that_looks_like_a_protocol_is_a_file(tmp_path, monkeypatch):
    write_video(tmp_path / "plain.mp4", [over(p) for p in moving_disk(3)])
    shutil.move(tmp_path / "plain.mp4", tmp_path / "take:1.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(open_source(Path("take:1.mp4"), None).times) == 3


def test_apng_layers_lie_over_each_other(tmp_path):
    red = np.full((32, 32, 4), (255, 0, 0, 255), np.uint8)
    half_blue = np.full((32, 32, 4), (0, 0, 255, 128), np.uint8)
    path = write_apng(tmp_path / "layers.png", [(red, SOURCE), (half_blue, OVER), (half_blue, SOURCE)])
    pictures = [picture for _, picture in open_source(path, None).read([0, 1, 2], 1.0)]
    np.testing.assert_allclose(pictures[0][5, 5], (255, 0, 0, 255), atol=1)
    np.testing.assert_allclose(pictures[1][5, 5].astype(int), (127, 0, 128, 255), atol=1)
    np.testing.assert_allclose(pictures[2][5, 5], (0, 0, 255, 128), atol=1)


def write_with_cover(path: Path, with_video: bool) -> Path:
    """An MP4 with sound, tagged with a yellow picture, with or without a video of the disk."""
    cover = np.full((64, 64, 3), (250, 220, 0), np.uint8)
    with av.open(str(path), "w", format="mp4") as container:
        streams = []
        if with_video:
            video = container.add_stream("libx264", rate=10)
            assert isinstance(video, av.VideoStream)
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            streams.append((video, [over(p) for p in moving_disk(3)]))
        picture = container.add_stream("mjpeg", rate=1)
        assert isinstance(picture, av.VideoStream)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
        picture.disposition = Disposition.attached_pic
        streams.append((picture, [cover]))
        sound = container.add_stream("aac", rate=44100)
        for stream, frames in streams:
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 44100
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    return path


def test_cover_art_is_no_video(tmp_path):
    video = open_source(write_with_cover(tmp_path / "clip.mp4", with_video=True), None)
    assert (video.width, video.height, len(video.times)) == (96, 64, 3)
    with pytest.raises(UserError, match=r"song\.m4a holds sound and a cover picture, but no video"):
        open_source(write_with_cover(tmp_path / "song.m4a", with_video=False), None)


def test_frames_that_an_encoder_merged_are_held(tmp_path):
    pictures = [Image.fromarray(over(disk(20 + 4 * k))) for k in (0, 1, 2, 3)]
    durations = [100, 100, 500, 100]  # the third stays, as five equal frames do after merging
    path = tmp_path / "held.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, lossless=True)
    clip = load_clip(path, ClipSettings(), 64)
    assert clip.num_frames == 8
    assert clip.fps == pytest.approx(10)
    assert any("stay for unequal times" in warning for warning in clip.warnings)
    equal = [bool((a == b).all()) for a, b in zip(clip.frames[:-1], clip.frames[1:], strict=True)]
    assert equal == [False, False, True, True, True, True, False]


def test_even_and_crowded_timelines_stay_as_they_are():
    assert hold_frames(np.arange(5) / 10, 24) == [0, 1, 2, 3, 4]
    assert hold_frames(np.array([0, 0.09, 0.21, 0.3]), 24) == [0, 1, 2, 3]
    assert len(hold_frames(np.array([0, 0.01, 0.02, 5.0]), 4)) == 4


def test_an_animation_of_equal_frames_is_a_picture_and_says_so(tmp_path):
    picture = Image.fromarray(over(disk(40)))
    picture.save(tmp_path / "still.gif", save_all=True, append_images=[picture] * 5, duration=100)
    clip = load_clip(tmp_path / "still.gif", ClipSettings(), 64)
    assert clip.num_frames == 1
    assert any("holds a single picture" in warning for warning in clip.warnings)


def test_an_avif_sequence_is_a_clip(tmp_path):
    pictures = [Image.fromarray(picture) for picture in moving_disk(4)]
    path = tmp_path / "a.avif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, quality=90)
    source = open_source(path, None)
    assert len(source.times) == 4
    for index, picture in source.read(range(4), 1.0):
        assert center_of(picture) == pytest.approx((20 + index, 32), abs=0.5)


def display_p3() -> bytes:
    """A matrix profile (ICC.1, version 2) with the primaries of Display P3 and a gamma of 2.2."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(2.2 * 256), 0)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 3) + b"P3\0" + bytes(79),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.51512, 0.24120, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.15710, 0.06657, 0.78407),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", offset + len(body), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + xyz(0.9642, 1.0, 0.8249)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def test_wide_gamut_photos_become_srgb(tmp_path):
    path, color = tmp_path / "photo.png", (180, 120, 90)
    Image.new("RGB", (32, 32), color).save(path, icc_profile=display_p3())
    source = open_source(path, None)
    found = only_picture(source)[5, 5, :3]
    to_709 = np.array([[1.2249, -0.2249, 0], [-0.0420, 1.0420, 0], [-0.0196, -0.0786, 1.0983]])
    light = to_709 @ (np.array(color) / 255) ** 2.2
    np.testing.assert_allclose(found.astype(int), 255 * (1.055 * light ** (1 / 2.4) - 0.055), atol=3)
    assert "wide-gamut colours" in source.warnings[0]


def test_srgb_and_useless_profiles_change_nothing(tmp_path):
    for name in ("sRGB", "LAB"):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()
        path = tmp_path / f"{name}.png"
        Image.fromarray(over(disk(48))).save(path, icc_profile=profile)
        source = open_source(path, None)
        np.testing.assert_array_equal(only_picture(source)[..., :3], over(disk(48)))
        assert source.warnings == []


def test_pages_beside_the_first_are_named(tmp_path):
    pages = [Image.fromarray(over(disk(40 + k))) for k in range(3)]
    pages[0].save(tmp_path / "stack.tiff", save_all=True, append_images=pages[1:])
    source = open_source(tmp_path / "stack.tiff", None)
    assert "holds 3 pictures and only the first is used" in source.warnings[0]


def test_a_second_video_is_named(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=10) for _ in range(2)]
        for stream in streams:
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for picture in moving_disk(3):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(over(picture), format="rgb24")
                container.mux(stream.encode(frame))  # type: ignore[union-attr]
        for stream in streams:
            container.mux(stream.encode(None))  # type: ignore[union-attr]
    assert "holds 2 videos: only video 1" in Video(path, None).warnings[0]


def test_a_title_in_another_encoding_does_not_matter(tmp_path):
    path = tmp_path / "titled.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Ein schoener Titel"
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for k in range(2):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 80 * k, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"schoener" in content
    path.write_bytes(content.replace(b"schoener", "sch\xf6n+++".encode("latin-1")))
    source = open_source(path, None)
    assert len(source.times) == 2
    assert source.warnings == []
