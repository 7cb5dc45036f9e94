import math

import numpy as np
import pytest
import torch
import tyro
from PIL import Image

from ar4d.clip import Clip, ClipSettings, Crop, cutout_preview, load_clip
from ar4d.errors import UserError
from tests.support.footage import WIDTH, disk, moving_disk, over, room, write_images, write_video


def box_of(alpha: np.ndarray) -> tuple[int, int, int, int]:
    """left, top, right, bottom of what is more than half opaque in any of the frames [F, S, S]."""
    seen = (alpha > 127).any(axis=0)
    rows, columns = np.nonzero(seen)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_one_crop_holds_the_whole_motion(tmp_path):
    path = write_video(tmp_path / "disk.mp4", [over(p) for p in moving_disk(31)])
    clip = load_clip(path, ClipSettings(num_frames=16), 100)
    assert clip.frames.shape == (16, 100, 100, 4)
    assert clip.fps == pytest.approx(5.0)
    assert (clip.source, clip.matting, clip.warnings) == ("disk.mp4", "plain background", ())
    # The disk's box is 24 high, and from 8 to 62 wide while it moves by 30 pixels.
    left, top, right, bottom = box_of(clip.frames[..., 3])
    assert (left, right) == pytest.approx((10, 90), abs=2)
    assert (top + bottom) / 2 == pytest.approx(50, abs=1)
    assert clip.crop.side == pytest.approx(54 / 0.8, abs=2)
    assert clip.crop.source_width == WIDTH
    # Each frame moves on by two source pixels, in the clip by as much at its scale.
    centers = [np.nonzero(frame[..., 3] > 127)[1].mean() for frame in clip.frames]
    np.testing.assert_allclose(np.diff(centers), 2 * 100 / clip.crop.side, atol=0.5)
    assert clip.frames[clip.frames[..., 3] == 0].max() == 0
    visible = clip.frames[..., 3] > 20
    assert np.abs(clip.frames[visible][:, :3].astype(int) - (200, 30, 40)).mean() < 12


def test_a_framed_clip_with_alpha_stays_bit_exact(tmp_path):
    pictures = [disk(30 + k, 32, 20, size=(64, 64)) for k in range(5)]
    folder = write_images(tmp_path / "frames", pictures)
    clip = load_clip(folder, ClipSettings(framing="keep"), 64)
    np.testing.assert_array_equal(clip.frames, np.stack(pictures))
    assert clip.crop == Crop(0, 0, 64, 64, 64)
    assert clip.fps == 10
    assert clip.matting == "alpha"


def test_what_is_framed_must_be_square(tmp_path):
    folder = write_images(tmp_path / "frames", moving_disk(2))
    with pytest.raises(UserError, match="96×64"):
        load_clip(folder, ClipSettings(framing="keep"), 64)


def test_start_and_end_choose_the_part(tmp_path):
    path = write_video(tmp_path / "disk.mp4", [over(p) for p in moving_disk(31)])
    clip = load_clip(path, ClipSettings(start=1.0, end=2.0, num_frames=3), 64)
    assert clip.num_frames == 3
    assert clip.fps == pytest.approx(2.0)
    whole = load_clip(path, ClipSettings(num_frames=100), 64)
    assert whole.num_frames == 31
    with pytest.raises(UserError, match=r"3\.10 s long"):
        load_clip(path, ClipSettings(end=9.0), 64)


def test_a_single_image_is_a_clip_of_one_frame(tmp_path):
    Image.fromarray(over(disk(48))).save(tmp_path / "disk.jpg", quality=90)
    clip = load_clip(tmp_path / "disk.jpg", ClipSettings(), 64)
    assert clip.num_frames == 1
    assert clip.fps == 10
    left, top, right, bottom = box_of(clip.frames[..., 3])
    assert (right - left, bottom - top) == pytest.approx((51, 51), abs=4)


def test_a_subject_at_the_border_is_completed_by_nothing(tmp_path):
    path = write_video(tmp_path / "disk.mp4", [over(disk(90, 32, 20)) for _ in range(3)])
    clip = load_clip(path, ClipSettings(), 64)
    assert any("touches the border" in warning for warning in clip.warnings)
    beyond = int((WIDTH - clip.crop.x) / clip.crop.side * 64) + 1
    assert clip.frames[:, :, beyond:].max() == 0


def test_frames_without_the_subject_are_left_out_and_named(tmp_path):
    pictures = moving_disk(8)
    pictures[3] = pictures[4] = disk(40, radius=0)
    clip = load_clip(write_images(tmp_path / "frames", pictures), ClipSettings(), 64)
    assert clip.num_frames == 6
    assert clip.frames[..., 3].max(axis=(1, 2)).min() == 255
    (warning,) = clip.warnings
    assert "frame 4 (frame_3.png), frame 5 (frame_4.png)" in warning
    assert clip.fps == pytest.approx(5 / 0.7)


def test_a_clip_without_any_subject_is_refused(tmp_path):
    folder = write_images(tmp_path / "frames", [np.full((40, 40, 3), 255, np.uint8)] * 3)
    with pytest.raises(UserError, match="No subject was found in frames"):
        load_clip(folder, ClipSettings(), 64)


def test_a_damaged_video_is_used_as_far_as_it_can_be(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [over(p) for p in moving_disk(40)]
    for picture in pictures:
        picture[20:44, 4:90] ^= rng.integers(0, 60, (24, 86, 3), dtype=np.uint8)
    path = write_video(
        tmp_path / "a.mp4", pictures, options={"g": "5"}, container_options={"movflags": "faststart"}
    )
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    clip = load_clip(tmp_path / "cut.mp4", ClipSettings(num_frames=8), 64)
    assert 6 <= clip.num_frames <= 8
    assert "cut.mp4 is cut off" in clip.warnings[0]


def test_real_footage_is_cut_out_by_the_network(tmp_path):
    path = write_video(tmp_path / "room.mp4", room(3, (320, 240)))
    clip = load_clip(path, ClipSettings(), 128)
    assert clip.matting == "u2netp"
    assert clip.warnings == ()
    for frame in clip.frames:
        area = (frame[..., 3] > 127).sum() * (clip.crop.side / 128) ** 2
        assert area == pytest.approx(math.pi * 60**2, rel=0.03)


@pytest.mark.parametrize(
    ("settings", "size", "problem"),
    [
        (ClipSettings(num_frames=0), 64, "at least 1, not 0"),
        (ClipSettings(threshold=math.nan), 64, "threshold must lie between 0 and 1"),
        (ClipSettings(threshold=1.0), 64, "threshold must lie between 0 and 1"),
        (ClipSettings(fps=math.nan), 64, "frame rate"),
        (ClipSettings(start=0.3, end=0.1), 64, "must come before"),
        (ClipSettings(), 0, "size must lie between"),
    ],
)
def test_impossible_settings_are_told(tmp_path, settings, size, problem):
    folder = write_images(tmp_path / "frames", moving_disk(5))
    with pytest.raises(UserError, match=problem):
        load_clip(folder, settings, size)


def test_every_setting_explains_itself_on_the_command_line(capsys):
    with pytest.raises(SystemExit):
        tyro.cli(ClipSettings, args=["--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in ("evenly spaced in time", "Frames per second of the source", "counts as the subject"):
        assert words in shown
    assert tyro.cli(ClipSettings, args=["--num-frames", "8", "--framing", "keep"]) == ClipSettings(
        num_frames=8, framing="keep"
    )


def example() -> Clip:
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 4), dtype=np.uint8)
    frames[frames[..., 3] < 60] = 0
    crop = Crop(-3.25, 1 / 3, 87.1, 96, 64)
    return Clip(frames, 23.976, crop, "Gänse.mp4", "u2netp", ("The camera seems to move.",))


def test_a_clip_comes_back_exactly(tmp_path):
    clip = example()
    clip.save(tmp_path / "input")
    assert sorted(p.name for p in (tmp_path / "input").iterdir()) == [
        "0000.png",
        "0001.png",
        "0002.png",
        "clip.json",
    ]
    again = Clip.load(tmp_path / "input")
    np.testing.assert_array_equal(again.frames, clip.frames)
    for name in ("fps", "crop", "source", "matting", "warnings", "num_frames", "size"):
        assert getattr(again, name) == getattr(clip, name)


def test_a_shorter_clip_replaces_a_longer_one(tmp_path):
    clip = example()
    clip.save(tmp_path)
    Clip(clip.frames[:1], clip.fps, clip.crop, clip.source, clip.matting, ()).save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0000.png", "clip.json"]
    assert Clip.load(tmp_path).num_frames == 1


def test_an_unfinished_clip_is_none(tmp_path):
    clip = example()
    clip.save(tmp_path)
    (tmp_path / "0001.png").write_bytes(b"")
    with pytest.raises(UserError, match="is damaged"):
        Clip.load(tmp_path)
    (tmp_path / "clip.json").unlink()
    with pytest.raises(UserError, match="holds no finished clip"):
        Clip.load(tmp_path)


def test_tensors_are_on_white():
    clip = example()
    values = clip.frames.astype(np.float64) / 255
    expected = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    assert clip.rgb_on_white().dtype == torch.float32
    np.testing.assert_allclose(clip.rgb_on_white().numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(clip.alpha().numpy(), values[..., 3], atol=1e-7)


def test_the_preview_shows_every_frame_and_its_outline():
    frames = np.stack([disk(32 + k, 32, 20, size=(64, 64)) for k in range(5)])
    clip = Clip(frames, 10.0, Crop(0, 0, 64, 64, 64), "disk", "alpha", ())
    sheet = cutout_preview(clip)
    assert sheet.shape == (2 * 64, 3 * 64, 3)
    assert sheet.dtype == np.uint8
    second = sheet[:64, 64:128]
    assert tuple(second[32, 33]) == (200, 30, 40)
    leftmost = int(np.argmax(frames[1, 32, :, 3] > 127))
    assert tuple(second[32, leftmost]) == (230, 30, 30)
    assert tuple(second[32, leftmost + 1]) == (200, 30, 40)
    assert {tuple(second[y, x]) for y, x in ((0, 0), (0, 63))} <= {(200, 200, 200), (140, 140, 140)}
    assert (sheet[64:, 128:] == 255).all()  # no sixth frame
