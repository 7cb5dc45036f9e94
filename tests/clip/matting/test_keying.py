import numpy as np
import pytest

from ar4d.clip.matting.keying import background_hue, find_plain_background, soft_alpha, subject_mask
from ar4d.clip.sources import open_source
from tests.support.footage import disk, over, write_video

SIZE = (128, 128)


def noisy(picture: np.ndarray, sigma: float = 1.5, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(np.round(picture + noise), 0, 255).astype(np.uint8)


def key(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mask [h, w] bool and alpha [h, w] of one picture [h, w, 3]."""
    plain = find_plain_background(picture[None])
    assert plain is not None
    mask = subject_mask(picture, plain.colors[0], plain.tolerance)
    return mask, soft_alpha(picture, mask, plain.colors[0], plain.tolerance, 1.0)


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (30, 200, 60), (120, 125, 130)])
def test_alpha_is_that_of_the_original(background):
    original = disk(64, 64, 40, size=SIZE)
    mask, alpha = key(noisy(over(original, background)))
    exact = original[..., 3] / 255
    assert np.mean((alpha > 0.5) != (exact > 0.5)) < 0.004
    assert np.abs(alpha - exact).mean() < 0.006
    assert (alpha[exact == 1] > 0.5).mean() > 0.995
    assert alpha[~mask & (exact == 0)].max() <= 1
    soft = (exact > 0.1) & (exact < 0.9)
    assert np.abs(alpha - exact)[soft].mean() < 0.25


def test_only_a_border_of_one_colour_counts_as_plain():
    rng = np.random.default_rng(0)
    textured = rng.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    assert find_plain_background(textured) is None
    ramp = np.linspace(150, 230, 64).astype(np.uint8)[None, None, :, None] * np.ones((2, 64, 1, 3), np.uint8)
    assert find_plain_background(ramp) is None
    changing = np.stack([np.full((64, 64, 3), v, np.uint8) for v in (100, 140, 180)])
    assert find_plain_background(changing) is None
    assert find_plain_background(changing, forced=True) is not None


def test_a_subject_that_leaves_the_picture_does_not_spoil_the_border():
    picture = noisy(over(disk(64, 110, 30, size=SIZE)))
    mask, _ = key(picture)
    exact = disk(64, 110, 30, size=SIZE)[..., 3] > 127
    assert np.mean(mask != exact) < 0.01


def test_white_clothes_before_a_white_wall_survive_behind_their_outline():
    picture = over(disk(64, 64, 40, (150, 150, 150), SIZE))
    shirt = disk(64, 64, 37, (252, 252, 252), SIZE)
    picture = over(shirt, picture)
    picture[60:64, 20:32] = 255  # the outline is blown out here, four pixels wide
    mask, alpha = key(picture)
    assert mask[40:90, 40:90].all()
    assert alpha[40:90, 40:90].min() == 1
    assert not mask[:20].any()


def test_holes_show_the_background_and_highlights_do_not():
    ring = over(disk(64, 64, 45, size=SIZE))
    hole = disk(50, 64, 12, size=SIZE)[..., 3] > 127
    ring[hole] = 255
    ys, xs = np.mgrid[:128, :128]
    glow = np.exp(-(((xs - 85) ** 2 + (ys - 64) ** 2) / 2 / 9.0**2))[..., None]
    picture = np.clip(ring + glow * 320, 0, 255).astype(np.uint8)  # fades to white
    picture[40:44, 62:66] = 255  # a glint
    mask, _ = key(picture)
    assert not mask[60:69, 46:55].any()
    assert mask[60:69, 80:90].all()
    assert mask[40:44, 62:66].all()


def test_the_compressions_noise_is_no_subject(tmp_path):
    original = disk(64, 64, 40, (20, 30, 90), SIZE)
    path = write_video(tmp_path / "a.mp4", [over(original)] * 3, options={"crf": "32"})
    picture = next(open_source(path, None).read([1], 1.0))[1][..., :3]
    mask, alpha = key(picture)
    exact = original[..., 3] / 255
    far = disk(64, 64, 46, size=SIZE)[..., 3] == 0
    assert alpha[far].max() < 0.1
    assert np.mean(mask != (exact > 0.5)) < 0.02
    assert alpha[disk(64, 64, 36, size=SIZE)[..., 3] == 255].min() == 1


def test_a_green_screen_leaves_no_green_rim(tmp_path):
    original = disk(64, 64, 40, (60, 60, 60), SIZE)
    path = write_video(tmp_path / "a.mp4", [over(original, (30, 200, 60))] * 2, options={"crf": "18"})
    picture = next(open_source(path, None).read([0], 1.0))[1][..., :3]
    _, alpha = key(picture)
    hue = background_hue(picture, np.array((30, 200, 60), np.float32))
    # What has much of the green in it must be transparent in proportion.
    assert (alpha + np.clip(hue, 0, 1)).max() < 1.25
    assert np.abs(alpha - original[..., 3] / 255).mean() < 0.012


def test_what_has_more_of_the_hue_than_the_background_is_no_background():
    original = disk(64, 64, 40, (20, 40, 220), SIZE)  # a blue shirt before a light blue wall
    mask, alpha = key(noisy(over(original, (130, 180, 235))))
    exact = original[..., 3] / 255
    assert np.mean(mask != (exact > 0.5)) < 0.01
    assert np.abs(alpha - exact).mean() < 0.01


def test_the_hue_of_a_background_is_measured_in_shares():
    green = np.array((0, 200, 0), np.float32)
    picture = np.array([[(0, 200, 0), (90, 90, 90), (45, 145, 45), (0, 100, 0)]], np.uint8)
    np.testing.assert_allclose(background_hue(picture, green)[0], [1, 0, 0.5, 0.5], atol=1e-6)
    assert not background_hue(picture, np.array((250, 255, 250), np.float32)).any()
