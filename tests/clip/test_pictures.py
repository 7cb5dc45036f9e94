from typing import Any

import numpy as np
import pytest
from PIL import Image

from ar4d.clip.pictures import is_picture, open_file, open_folder, to_rgba
from ar4d.clip.sources import Source, open_source
from ar4d.errors import UserError
from tests.support.footage import HEIGHT, RED, WIDTH, center_of, disk, moving_disk, over, write_images


def read_all(source: Source) -> list[np.ndarray]:
    return [picture for _, picture in source.read(range(len(source.times)), 1.0)]


def test_a_folder_is_read_in_natural_order(tmp_path):
    folder = write_images(tmp_path / "frames", moving_disk(12))
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"no image either")
    source = open_folder(folder, None)
    assert [source.place(i) for i in range(12)] == [f"frame_{i}.png" for i in range(12)]
    np.testing.assert_allclose(source.times, np.arange(12) / 10)
    for index, picture in enumerate(read_all(source)):
        assert center_of(picture) == pytest.approx((20 + index, HEIGHT / 2), abs=0.3)


def test_a_folders_rate_can_be_given(tmp_path):
    source = open_folder(write_images(tmp_path / "frames", moving_disk(5)), 25.0)
    assert source.length == pytest.approx(0.2)


def test_images_of_different_sizes_are_named(tmp_path):
    folder = write_images(tmp_path / "frames", moving_disk(3))
    Image.new("RGB", (10, 12)).save(folder / "frame_1.png")
    with pytest.raises(UserError, match=r"frame_0\.png is 96×64 \(as 2 of 3 are\), but frame_1\.png is"):
        open_folder(folder, None)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing to see")
    with pytest.raises(UserError, match="holds no images"):
        open_folder(tmp_path, None)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("RGB", "a.png"), ("L", "a.png"), ("1", "a.png"), ("P", "a.png"), ("CMYK", "a.jpg"), ("RGB", "a.webp")],
)
def test_every_mode_becomes_rgba(tmp_path, mode, name):
    original = Image.fromarray(over(disk(48))).convert(mode)
    options: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
    original.save(tmp_path / name, **options)
    (picture,) = read_all(open_file(tmp_path / name, None))
    expected = np.asarray(original.convert("RGBA")).astype(int)
    assert picture.shape == (HEIGHT, WIDTH, 4)
    assert np.abs(picture - expected).max() <= (40 if name.endswith("jpg") else 0)


def test_grey_of_16_bits_keeps_its_shades(tmp_path):
    ramp = np.linspace(0, 65535, WIDTH).astype(np.uint16)[None].repeat(HEIGHT, 0)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    (picture,) = read_all(open_file(tmp_path / "ramp.png", None))
    np.testing.assert_allclose(picture[0, :, 0], ramp[0] / 257, atol=0.51)
    assert (picture[..., 3] == 255).all()


def test_a_palettes_transparency_is_alpha(tmp_path):
    image = Image.new("P", (4, 2), 0)
    image.putpalette([10, 20, 30, 200, 100, 50] + [0] * 762)
    image.putpixel((1, 1), 1)
    image.save(tmp_path / "p.png", transparency=0)
    (picture,) = read_all(open_file(tmp_path / "p.png", None))
    assert picture[0, 0, 3] == 0
    assert tuple(picture[1, 1]) == (200, 100, 50, 255)


def test_a_photos_orientation_is_honoured(tmp_path):
    image = Image.fromarray(over(disk(20)))
    exif = image.getexif()
    exif[0x0112] = 6  # has to be turned clockwise by 90°
    image.save(tmp_path / "photo.png", exif=exif)
    source = open_file(tmp_path / "photo.png", None)
    assert (source.width, source.height) == (HEIGHT, WIDTH)
    (picture,) = read_all(source)
    assert center_of(picture) == pytest.approx((32, 20), abs=0.3)


def test_pixels_that_are_no_numbers_are_refused(tmp_path):
    values = np.full((8, 8), 0.5, np.float32)
    Image.fromarray(values).save(tmp_path / "fine.tiff")
    (picture,) = read_all(open_file(tmp_path / "fine.tiff", None))
    assert (picture[..., :3] == 128).all()
    values[3, 3] = np.nan
    Image.fromarray(values).save(tmp_path / "holed.tiff")
    with pytest.raises(UserError, match=r"holed\.tiff has pixels that are not finite"):
        read_all(open_file(tmp_path / "holed.tiff", None))


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations_keep_times_and_alpha(tmp_path, suffix):
    pictures = [disk(20 + 10 * k) for k in range(4)]
    for picture in pictures:
        picture[..., 3] = np.where(picture[..., 3] > 127, 255, 0)  # GIF has no more
        picture[picture[..., 3] == 0] = 0
    images = [Image.fromarray(picture) for picture in pictures]
    path = tmp_path / f"a.{suffix}"
    options: dict[str, Any] = {"gif": {"disposal": 2}, "webp": {"lossless": True}, "png": {}}[suffix]
    images[0].save(path, save_all=True, append_images=images[1:], duration=[100, 200, 50, 100], **options)
    source = open_source(path, None)
    np.testing.assert_allclose(source.times, [0, 0.1, 0.3, 0.35])
    assert source.length == pytest.approx(0.45)
    for picture, original in zip(read_all(source), pictures, strict=True):
        np.testing.assert_array_equal(picture[..., 3], original[..., 3])
        np.testing.assert_array_equal(picture[original[..., 3] > 0, :3], original[original[..., 3] > 0, :3])


def test_an_apngs_still_for_old_programs_is_no_frame(tmp_path):
    images = [Image.fromarray(disk(20 + 10 * k)) for k in range(3)]
    poster = Image.new("RGBA", (WIDTH, HEIGHT), (0, 255, 0, 255))
    path = tmp_path / "a.png"
    poster.save(path, save_all=True, append_images=images, duration=100, default_image=True)
    source = open_source(path, None)
    assert len(source.times) == 3
    assert center_of(read_all(source)[0]) == pytest.approx((20, 32), abs=0.3)


def test_a_damaged_animation_yields_its_readable_frames(tmp_path):
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(6)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=100)
    data = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "b.gif").write_bytes(data[: len(data) // 2])
    source = open_file(tmp_path / "b.gif", None)
    assert 1 <= len(source.times) < 6
    assert len(source.warnings) == 1
    assert len(read_all(source)) == len(source.times)


def test_a_damaged_image_is_named(tmp_path):
    folder = write_images(tmp_path / "frames", moving_disk(3))
    data = (folder / "frame_1.png").read_bytes()
    (folder / "frame_1.png").write_bytes(data[: len(data) - 60])
    with pytest.raises(UserError, match=r"frame_1\.png is damaged"):
        read_all(open_folder(folder, None))


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path):
    Image.new("L", (16385, 2)).save(tmp_path / "long.png")
    with pytest.raises(UserError, match="16385×2"):
        open_file(tmp_path / "long.png", None)
    Image.new("1", (16000, 16000)).save(tmp_path / "bomb.png")
    assert is_picture(tmp_path / "bomb.png")
    with pytest.raises(UserError, match="too many pixels"):
        open_file(tmp_path / "bomb.png", None)


def test_shrinking_does_not_mix_in_the_colour_of_transparent_pixels(tmp_path):
    picture = disk(48)
    picture[picture[..., 3] == 0] = (0, 255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    ((_, small),) = open_file(tmp_path / "a.png", None).read([0], 0.25)
    assert small.shape == (16, 24, 4)
    visible = small[..., 3] > 40
    assert np.abs(small[visible][:, :3].astype(int) - RED).max() <= 4


def test_modes_that_are_unknown_are_told(tmp_path):
    with pytest.raises(UserError, match="outside 0 to 65535"):
        to_rgba(Image.fromarray(np.array([[70000]], np.int32)), tmp_path / "a.tiff")
