"""What the clip shows is taken from the clip."""

import torch

from ar4d.cameras import orbit
from ar4d.experts.star.config import CODECS
from ar4d.experts.star.shown import BEHIND, ShownByClip, in_the_clips_colors
from ar4d.experts.star.splats import OFFSET, STATIC, moved, static_splats
from ar4d.gaussians import Gaussians
from ar4d.losses import psnr
from ar4d.rendering import render

CONFIG = CODECS["tiny"]
SIZE = 96


def disc(color: float = 0.2) -> torch.Tensor:
    """[SIZE, SIZE, 4]: a disc with stripes."""
    line = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    rgb = torch.stack([0.5 + 0.3 * torch.sin(9 * x), 0.5 + 0.3 * torch.cos(7 * y), 0 * x + color], -1)
    alpha = ((0.707 - (x**2 + y**2).sqrt()) * SIZE / 2 + 0.5).clamp(0, 1)  # a pixel wide, as a camera sees it
    return torch.cat([rgb, alpha[..., None]], -1)


def splats():
    """Gaussians at the origin's depth in view 0; those of the other views are transparent."""
    raw = torch.zeros(1, 4, CONFIG.grid, CONFIG.grid, STATIC)
    raw[:, 1:, ..., 8] = -12
    return static_splats(raw, CONFIG)


def test_the_reference_view_is_the_clips_picture():
    picture, first = disc(), splats()
    gaussians = ShownByClip(first, picture[None], 60_000, CONFIG).at(first, picture)
    seen = render(gaussians, orbit(0.0, size=SIZE)).rgb
    white = picture[..., :3] * picture[..., 3:] + 1 - picture[..., 3:]
    assert float(psnr(seen, white[None])) > 30


def test_the_front_moves_as_predicted_and_has_the_later_frames_colors():
    picture, first = disc(), splats()
    shown = ShownByClip(first, picture[None], 24_000, CONFIG)
    offset = torch.zeros(1, 4, CONFIG.grid, CONFIG.grid, OFFSET)
    offset[:, 0, ..., 2] = -0.4  # towards the camera, by 0.1
    later = shown.at(moved(first, offset, CONFIG), disc(color=0.9))
    before = shown.at(first, picture)
    front = slice(0, int(shown.kept.sum()))
    shift = (later.means - before.means)[front]
    assert torch.allclose(shift, torch.tensor([0.0, 0.0, 0.1]).expand_as(shift), atol=1e-5)
    inner = before.means[front].norm(dim=1) < 0.3
    assert float((later.colors[front][inner, 2] - 0.9).abs().max()) < 0.02
    assert len(later) == len(before)


def test_hidden_gaussians_keep_their_colors_and_what_is_outside_is_transparent():
    means = torch.tensor([[0.0, 0, 0.2], [0.0, 0, -0.2], [0.65, 0.6, 0.0]])
    gaussians = Gaussians(
        means,
        torch.tensor([[1.0, 0, 0, 0]]).repeat(3, 1),
        torch.full((3, 3), 0.08),
        torch.full((3,), 0.95),
        torch.zeros(3, 3),
    )
    found = in_the_clips_colors(gaussians, disc())
    assert float(means[0, 2] - means[1, 2]) > BEHIND
    assert abs(float(found.colors[0, 2]) - 0.2) < 0.02
    assert torch.equal(found.colors[1], torch.zeros(3))
    assert float(found.opacities[2]) < 1e-3
    assert float(found.opacities[0]) > 0.9


def test_what_the_motion_leaves_open_is_filled():
    """The disc moves and the prediction does not."""
    picture, first = disc(), splats()
    later = picture.roll(12, 1)
    shown = ShownByClip(first, torch.stack([picture, later]), 60_000, CONFIG)
    before, after = shown.at(first, picture), shown.at(first, later)
    assert len(before) == len(after)
    seen = render(after, orbit(0.0, size=SIZE)).rgb
    white = later[..., :3] * later[..., 3:] + 1 - later[..., 3:]
    assert float(psnr(seen, white[None])) > 28
    assert torch.equal(before.means[-len(shown.fill) :], shown.fill.means)
    new = (shown.fill.means[:, 0] > 0.53) & (shown.fill.means[:, 0] < 0.61)  # beside the first frame's disc
    new &= shown.fill.means[:, 1].abs() < 0.1
    assert new.sum() > 10
    assert float(before.opacities[-len(shown.fill) :][new].max()) < 0.1
    assert float(after.opacities[-len(shown.fill) :][new].median()) > 0.8
