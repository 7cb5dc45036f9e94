"""Kinds of scenes that people really film: shadows, fades, several subjects, overlays, glass, narrow gaps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from ar4d.clip import Clip, ClipSettings, load_clip
from ar4d.errors import UserError
from tests.support.footage import disk, moving_disk, over, room, write_images, write_video

SIZE = (320, 240)


def figure(x: float, color: tuple[int, int, int] = (40, 150, 60)) -> Image.Image:
    """[240, 320] RGBA: a body with a head and two legs, its middle at x."""
    picture = Image.new("RGBA", SIZE)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((x - 55, 60, x + 55, 140), fill=color)
    draw.ellipse((x + 25, 35, x + 75, 85), fill=color)
    for leg in (-35, 15):
        draw.rectangle((x + leg, 120, x + leg + 20, 190), fill=color)
    return picture


def on_floor(subject: Image.Image, floor: np.ndarray | None = None) -> np.ndarray:
    return over(np.asarray(subject), np.full((240, 320, 3), 255) if floor is None else floor)


def load(path: Path, pictures: Sequence[np.ndarray], settings: ClipSettings | None = None) -> Clip:
    write_video(path, pictures, options={"crf": "16"})
    return load_clip(path, settings or ClipSettings(), 128)


def areas(clip: Clip) -> np.ndarray:
    """Opaque source pixels of each frame."""
    return (clip.frames[..., 3] > 127).sum(axis=(1, 2)) * (clip.crop.side / clip.size) ** 2


def said(clip: Clip, words: str) -> bool:
    return any(words in warning for warning in clip.warnings)


@pytest.mark.parametrize("softness", [2.0, 9.0])
def test_a_shadow_on_the_floor_is_left_out(tmp_path, softness):
    bare, shaded = [], []
    for k in range(4):
        ys, xs = np.mgrid[:240, :320]
        ellipse = (((xs - 130 - 8 * k) / 90) ** 2 + ((ys - 188) / 22) ** 2 < 1).astype(float)
        floor = 255 - 110 * np.asarray(ndimage.gaussian_filter(ellipse, softness))
        subject = figure(130 + 8 * k)
        bare.append(on_floor(subject))
        shaded.append(on_floor(subject, np.repeat(floor[..., None], 3, axis=2)))
    plain, found = load(tmp_path / "bare.mp4", bare), load(tmp_path / "shaded.mp4", shaded)
    assert found.matting == "plain background"
    assert found.crop.side == pytest.approx(plain.crop.side, rel=0.03)
    np.testing.assert_allclose(areas(found), areas(plain), rtol=0.06)
    assert said(found, "The subject's shadow on the floor was left out")
    assert plain.warnings == ()


def test_a_shadow_in_few_frames_is_kept_and_named(tmp_path):
    """Something that is seen in one frame of four may as well be a part of the subject."""
    pictures = []
    for k in range(4):
        ys, xs = np.mgrid[:240, :320]
        ellipse = (((xs - 130 - 8 * k) / 90) ** 2 + ((ys - 188) / 22) ** 2 < 1).astype(float)
        floor = 255 - (110 if k == 2 else 0) * np.asarray(ndimage.gaussian_filter(ellipse, 2.0))
        pictures.append(on_floor(figure(130 + 8 * k), np.repeat(floor[..., None], 3, axis=2)))
    clip = load(tmp_path / "once.mp4", pictures)
    assert said(clip, "What lies under the subject in frame 3 (0.20 s) may be its shadow and was kept")
    assert not said(clip, "was left out")


def test_a_grey_subject_is_no_shadow(tmp_path):
    clip = load(tmp_path / "grey.mp4", [on_floor(figure(130 + 8 * k, (150, 150, 150))) for k in range(3)])
    assert not said(clip, "shadow")
    exact = (np.asarray(figure(130))[..., 3] > 127).sum()
    np.testing.assert_allclose(areas(clip), exact, rtol=0.03)


def test_a_subject_hardly_darker_than_the_ground_has_a_steady_outline(tmp_path):
    pictures = []
    for k in range(4):
        subject = figure(120 + 12 * k, (246, 246, 246))
        ImageDraw.Draw(subject).ellipse((165 + 12 * k, 50, 175 + 12 * k, 60), fill=(20, 20, 20))
        pictures.append(on_floor(subject))
    clip = load(tmp_path / "white.mp4", pictures)
    exact = (np.asarray(figure(120))[..., 3] > 127).sum()
    found = areas(clip)
    np.testing.assert_allclose(found, exact, rtol=0.05)
    assert np.ptp(found) < 0.03 * found.mean()
    assert said(clip, "Subject and background can hardly be told apart in frame 1")


def glass(count: int = 3) -> list[np.ndarray]:
    pictures = moving_disk(count)
    for picture in pictures:
        picture[..., 3] = np.round(0.4 * picture[..., 3])
    return pictures


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_a_see_through_subject_keeps_its_transparency(tmp_path, threshold):
    folder = write_images(tmp_path / "glass", glass())
    clip = load_clip(folder, ClipSettings(threshold=threshold), 64)
    assert clip.num_frames == 3
    assert clip.opacity == pytest.approx(0.4, abs=0.01)
    assert said(clip, "see-through: at most 40 % opaque")
    opaque = load_clip(write_images(tmp_path / "solid", moving_disk(3)), ClipSettings(), 64)
    assert opaque.opacity == 1
    assert clip.crop.side == pytest.approx(opaque.crop.side, rel=0.05)
    np.testing.assert_allclose(clip.frames[..., 3], 0.4 * opaque.frames[..., 3].astype(float), atol=12)


def test_a_change_of_the_exposure_is_levelled_and_named(tmp_path):
    steady = [on_floor(figure(130 + 4 * k)) for k in range(8)]
    gains = [0.45, 0.6, 0.8, 1, 1, 1, 1, 1]
    changing = [np.round(p * g).astype(np.uint8) for p, g in zip(steady, gains, strict=True)]
    clip = load(tmp_path / "changing.mp4", changing)
    expected = load(tmp_path / "steady.mp4", steady)
    assert clip.matting == "plain background"
    for found, exact in zip(clip.frames, expected.frames, strict=True):
        inside = (found[..., 3] > 250) & (exact[..., 3] > 250)
        difference = found[inside][:, :3].astype(float) - exact[inside][:, :3]
        assert np.abs(difference.mean(axis=0)).max() < 5
    assert said(
        clip, "The exposure changes: frame 1 (0.00 s), frame 2 (0.10 s), frame 3 (0.20 s) had 45 to 80 %"
    )
    assert not said(expected, "exposure")


def test_textured_footage_is_levelled_too(tmp_path):
    pictures = room(5)
    pictures[0] = np.round(pictures[0] * 0.6).astype(np.uint8)
    clip = load(tmp_path / "room.mp4", pictures)
    assert said(clip, "The exposure changes: frame 1")
    brightness = [frame[frame[..., 3] > 250][:, :3].mean() for frame in clip.frames]
    assert brightness[0] == pytest.approx(brightness[2], rel=0.08)


def test_the_black_frames_of_a_fade_are_left_out_and_named(tmp_path):
    gains = [0.0, 0.15, 0.5, 0.85, 1, 1, 1, 1]
    pictures = [np.round(on_floor(figure(130 + 4 * k)) * g).astype(np.uint8) for k, g in enumerate(gains)]
    clip = load(tmp_path / "fade.mp4", pictures)
    assert clip.num_frames == 6
    assert said(clip, "frame 1 (0.00 s), frame 2 (0.10 s): too dark to be used")
    assert said(clip, "frame 3 (0.20 s), frame 4 (0.30 s) had 50 to 85 %")


def test_a_fade_of_a_clip_with_alpha_is_named(tmp_path):
    pictures = moving_disk(6)
    pictures[0][..., :3] //= 3
    clip = load_clip(write_images(tmp_path / "fade", pictures), ClipSettings(), 64)
    assert said(clip, "much darker or brighter than usual in frame 1 (frame_0.png)")


def two_subjects(count: int = 3) -> list[np.ndarray]:
    pictures = []
    for k in range(count):
        both = on_floor(Image.fromarray(disk(80 + 2 * k, 120, 42, (40, 60, 200), SIZE)))
        pictures.append(over(disk(230 + 2 * k, 120, 44, size=SIZE), both))
    return pictures


def test_a_second_subject_is_named_and_either_can_be_chosen(tmp_path):
    clip = load(tmp_path / "two.mp4", two_subjects())
    assert said(clip, "Another object of 9")
    assert said(clip, "choose the subject with --subject X Y, or keep everything with --no-largest-component")
    np.testing.assert_allclose(areas(clip), np.pi * 44**2, rtol=0.01)
    middle = clip.crop.x + clip.crop.side / 2
    assert middle == pytest.approx(232, abs=3)
    for point, expected in (((0.25, 0.5), 82), ((0.7, 0.5), 232)):
        chosen = load_clip(tmp_path / "two.mp4", ClipSettings(subject=point), 64)
        assert chosen.crop.x + chosen.crop.side / 2 == pytest.approx(expected, abs=3)
    both = load_clip(tmp_path / "two.mp4", ClipSettings(largest_component=False), 64)
    assert both.crop.side > 1.8 * clip.crop.side
    assert both.warnings == ()


def test_a_place_outside_the_picture_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"between 0 and 1, not 120 0\.5"):
        load(tmp_path / "two.mp4", two_subjects(1), ClipSettings(subject=(120, 0.5)))


def test_a_grid_over_the_picture_is_left_out_and_named(tmp_path):
    pictures = []
    for k in range(4):
        picture = Image.fromarray(on_floor(figure(130 + 8 * k)))
        lines = Image.new("RGBA", SIZE)
        draw = ImageDraw.Draw(lines)
        for offset in range(-240, 320, 80):
            draw.line((offset, 0, offset + 240, 240), fill=(120, 120, 120, 110), width=2)
            draw.line((offset + 240, 0, offset, 240), fill=(120, 120, 120, 110), width=2)
        pictures.append(np.asarray(Image.alpha_composite(picture.convert("RGBA"), lines).convert("RGB")))
    clip = load(tmp_path / "preview.mp4", pictures)
    clean = load(tmp_path / "clean.mp4", [on_floor(figure(130 + 8 * k)) for k in range(4)])
    assert clip.crop.side == pytest.approx(clean.crop.side, rel=0.06)
    np.testing.assert_allclose(areas(clip), areas(clean), rtol=0.04)
    assert said(clip, "Thin lines over the whole picture")


def test_subtitles_are_left_out_and_named(tmp_path):
    pictures = []
    for k in range(3):
        picture = Image.fromarray(on_floor(figure(130 + 8 * k)))
        ImageDraw.Draw(picture).text((80, 212), "Look who is here", fill=(20, 20, 20), font_size=20)
        pictures.append(np.asarray(picture))
    clip = load(tmp_path / "subtitled.mp4", pictures)
    assert said(clip, "Something beside the subject (text, a logo, another object) was left out")
    clean = load(tmp_path / "clean.mp4", [on_floor(figure(130 + 8 * k)) for k in range(3)])
    assert clip.crop.side == pytest.approx(clean.crop.side, rel=0.03)


@pytest.mark.parametrize(
    ("color", "box"),
    [
        ((0, 0, 0), (0, 30, 320, 210)),  # letterbox
        ((0, 0, 0), (40, 0, 280, 240)),  # pillarbox
        ((30, 60, 160), (12, 12, 308, 228)),  # a frame
    ],
)
def test_bars_and_frames_around_the_picture_are_left_out(tmp_path, color, box):
    pictures = []
    for k in range(3):
        picture = Image.new("RGB", SIZE, color)
        inner = Image.fromarray(over(disk(150 + 8 * k, 120, 50, size=SIZE))).crop(box)
        picture.paste(inner, box[:2])
        pictures.append(np.asarray(picture))
    clip = load(tmp_path / "framed.mp4", pictures)
    assert clip.matting == "plain background"
    assert said(clip, "Bars or a frame of one colour around the picture were left out")
    np.testing.assert_allclose(areas(clip), np.pi * 50**2, rtol=0.03)
    assert not said(clip, "touches the border")


def test_a_subject_cut_off_by_a_bar_touches_the_border(tmp_path):
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[30:210] = over(disk(150, 45, 50, size=SIZE))[30:210]
    clip = load(tmp_path / "cut.mp4", [picture] * 3)
    assert said(clip, "touches the border")


def test_narrow_gaps_show_no_ground(tmp_path):
    """A gap between two legs that closes at the feet until a small enclosed spot of ground is left."""
    pictures, truth = [], []
    for belly, feet in ((110, 170), (130, 150), (139, 146), (130, 150), (110, 170)):
        subject = Image.new("RGBA", (192, 192))
        draw = ImageDraw.Draw(subject)
        draw.ellipse((30, 40, 160, 120), fill=(40, 150, 60))
        for leg in (60, 78):
            draw.rectangle((leg, 100, leg + 13, 165), fill=(40, 150, 60))
        draw.rectangle((60, 100, 90, belly), fill=(40, 150, 60))
        draw.rectangle((60, min(feet, 166), 90, 168), fill=(40, 150, 60))
        pictures.append(over(np.asarray(subject), (255, 255, 255)))
        truth.append(np.asarray(subject)[..., 3] > 127)
    write_video(tmp_path / "gaps.mp4", pictures, options={"crf": "20"})
    clip = load_clip(tmp_path / "gaps.mp4", ClipSettings(framing="keep"), 192)
    for frame, subject in zip(clip.frames, truth, strict=True):
        ground = (frame[..., :3].min(axis=-1) > 235) & (frame[..., 3] > 128)
        assert ground.sum() <= 6
        assert np.mean((frame[..., 3] > 127) != subject) < 0.01
