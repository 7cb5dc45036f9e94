"""The embedded expert with its bundled weights."""

import shutil
from dataclasses import asdict, dataclass, replace

import pytest
import torch

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, orbit
from ar4d.errors import UserError
from ar4d.evaluation.metrics import silhouette_iou
from ar4d.experts.embedded import expert as module
from ar4d.experts.embedded.expert import ALL_VIEWS, FIRST_VIEW, SHA256, WEIGHTS, Embedded, load_networks
from ar4d.experts.embedded.facing import KnownPlane, angle_between_deg
from ar4d.experts.embedded.network import IN_SIZE
from ar4d.experts.embedded.symmetry import upright_plane
from ar4d.experts.registry import require
from ar4d.gaussians import Gaussians
from ar4d.images import on_white, premultiply
from ar4d.losses import psnr
from ar4d.rendering import render

SIZE = 128


@pytest.fixture(scope="module")
def expert() -> Embedded:
    return Embedded.load(torch.device("cpu"))


def beast() -> Gaussians:
    """A body on four legs that looks to the right: red head, blue hindquarters, green between."""
    parts = [  # centre, half axes, colour
        ((0.0, 0.05, 0.0), (0.30, 0.13, 0.12), (0.2, 0.6, 0.2)),
        ((0.34, 0.20, 0.0), (0.12, 0.10, 0.08), (0.8, 0.1, 0.1)),
        ((-0.30, 0.08, 0.0), (0.10, 0.12, 0.11), (0.1, 0.2, 0.8)),
        *(((x, -0.18, z), (0.04, 0.17, 0.04), (0.3, 0.3, 0.3)) for x in (-0.25, 0.22) for z in (-0.07, 0.07)),
    ]
    random = torch.Generator().manual_seed(0)
    means, colors = [], []
    for centre, half, color in parts:
        directions = torch.nn.functional.normalize(torch.randn(900, 3, generator=random), dim=-1)
        means.append(torch.tensor(centre) + directions * torch.tensor(half))
        colors.append(torch.tensor(color).expand(900, 3))
    means = torch.cat(means)
    quats = torch.tensor([1.0, 0, 0, 0]).expand(len(means), 4).contiguous()
    scales = torch.full((len(means), 3), 0.012)
    return Gaussians(means, quats, scales, torch.full((len(means),), 0.95), torch.cat(colors))


@pytest.fixture(scope="module")
def views() -> torch.Tensor:
    """[4, S, S, 4] straight alpha, from the four orthogonal azimuths."""
    seen = render(beast(), orbit(ORTHOGONAL_AZIMUTHS_DEG, size=SIZE), background=None)
    alpha = seen.alpha[..., None]
    return torch.cat([seen.rgb / alpha.clamp_min(1e-6), alpha], -1).clamp(0, 1)


def test_it_is_the_default_without_a_gpu():
    device = torch.device("cpu")
    for role in ("image_to_gaussians", "views_to_gaussians"):
        assert isinstance(require(role, "auto", device)[0].build(device), Embedded)


def test_shows_the_picture_from_the_reference_camera(expert, views):
    seen = render(expert.lift(views[0], 8000), orbit(0.0, size=SIZE))
    assert psnr(seen.rgb, on_white(views[:1])) > 24
    assert silhouette_iou(seen.alpha, views[:1, ..., 3])[0] > 0.9


def test_world_is_the_right_way_round(expert, views):
    """Seen from behind, the head is on the left and still above the feet."""
    seen = render(expert.lift(views[0], 8000), orbit(180.0, size=SIZE))
    assert silhouette_iou(seen.alpha, views[2:3, ..., 3])[0] > 0.6
    strength = seen.alpha[0, ..., None] * seen.rgb[0]
    columns = torch.arange(SIZE).float()
    rows = torch.arange(SIZE).float()[:, None]
    red = (strength[..., 0] - strength[..., 1] - strength[..., 2]).clamp_min(0)
    blue = (strength[..., 2] - strength[..., 1] - strength[..., 0]).clamp_min(0)
    assert (red * columns).sum() / red.sum() < SIZE / 2 - 10
    assert (blue * columns).sum() / blue.sum() > SIZE / 2 + 10
    assert (red * rows).sum() / red.sum() < SIZE / 2


@pytest.mark.parametrize("azimuth", [90.0, -90.0])
def test_has_a_body_seen_from_the_side(expert, views, azimuth):
    """Neither cardboard nor a sausage as deep as it is long; and nothing above or below its rows."""
    alpha = render(expert.lift(views[0], 8000), orbit(azimuth, size=SIZE)).alpha[0] > 0.5
    width = int(alpha.any(0).sum())
    assert 0.08 * SIZE < width < 0.6 * SIZE
    rows, expected = alpha.any(1).nonzero(), (views[0, ..., 3] > 0.5).any(1).nonzero()
    assert abs(int(rows.min()) - int(expected.min())) < 0.12 * SIZE
    assert abs(int(rows.max()) - int(expected.max())) < 0.12 * SIZE


def test_other_views_improve_the_sides(expert, views):
    """Four true views give better sides than one; the default, a mean of both, is better than one, too."""
    sides = orbit((90.0, 270.0), size=SIZE)
    truth = views[[1, 3], ..., 3]
    one, both, four = (
        replace(expert, view_subsets=subsets, least_weight=0.0)
        for subsets in ((FIRST_VIEW,), (FIRST_VIEW, ALL_VIEWS), (ALL_VIEWS,))
    )
    seen = [
        silhouette_iou(render(e.reconstruct(views), sides).alpha, truth).mean() for e in (one, both, four)
    ]
    assert seen[0] < seen[1]
    assert seen[0] < seen[2]
    assert torch.equal(one.reconstruct(views).means, expert.lift(views[0], 8000).means)
    assert torch.equal(
        both.reconstruct(views).means, replace(expert, least_weight=0.0).reconstruct(views).means
    )


def test_a_known_plane_shows_on_the_far_side(expert):
    """A ball with a green band, seen from its side: its far side mirrors the near one."""
    rgba = torch.zeros(SIZE, SIZE, 4)
    y, x = torch.meshgrid(torch.arange(SIZE) - SIZE / 2, torch.arange(SIZE) - SIZE / 2, indexing="ij")
    rgba[(x**2 + y**2).sqrt() < 40] = torch.tensor([0.7, 0.2, 0.2, 1.0])
    rgba[((x**2 + y**2).sqrt() < 40) & (x.abs() < 14)] = torch.tensor([0.1, 0.8, 0.1, 1.0])
    plane = torch.tensor(upright_plane(90.0, 0.0))
    green = []
    for finder in (KnownPlane(plane), KnownPlane(torch.zeros(4))):
        behind = render(replace(expert, plane_finder=finder).lift(rgba, 8000), orbit(180.0, size=SIZE)).rgb[0]
        middle = behind[54:74, 58:70].mean((0, 1))
        green.append(float(middle[1] - middle[0]))
    assert green[0] > 0.4
    assert green[0] > green[1] - 0.05


@dataclass(frozen=True)
class TwoPlanes(KnownPlane):
    """The known plane, and the hypothesis that there is none, which has a weight."""

    none_weight: float = 0.0

    def __call__(self, picture):
        weights = torch.tensor([1 - self.none_weight, self.none_weight])
        return torch.stack([self.plane, torch.zeros(4)]), weights


def test_an_unlikely_plane_costs_a_reconstruction_nothing(expert, views):
    expert = replace(expert, view_subsets=(FIRST_VIEW,))
    plane = torch.tensor(upright_plane(90.0, 0.0))
    known = replace(expert, plane_finder=KnownPlane(plane)).reconstruct(views)
    for weight, least, left_out in ((0.01, 0.02, True), (0.1, 0.02, False), (0.1, 1.0, True)):
        two = replace(expert, plane_finder=TwoPlanes(plane, weight), least_weight=least).reconstruct(views)
        assert torch.equal(two.means, known.means) == left_out


def test_with_a_clip_it_lifts_each_frame(expert, views):
    with_clip = expert.with_clip(views)
    assert with_clip.name == expert.name
    for view in views:
        seen = render(with_clip.lift(view, 4000), orbit(0.0, size=SIZE)).rgb
        assert psnr(seen, on_white(view[None])) > 22
    hinted = expert.with_clip(views[:1], facing_deg=90.0)
    planes, chances = hinted.plane_finder(module._resize(premultiply(views[0]).permute(2, 0, 1), IN_SIZE))
    assert angle_between_deg(planes[0], torch.tensor(upright_plane(90.0, 0.0))) < 20
    assert chances[0] > 0.6


@pytest.mark.parametrize("budget", [2000, 8000])
def test_keeps_to_the_budget(expert, views, budget):
    assert len(expert.lift(views[0], budget)) == pytest.approx(budget, rel=0.25)


def test_values_are_those_of_gaussians(expert, views):
    gaussians = expert.reconstruct(views)
    assert all(torch.isfinite(x).all() for x in gaussians.state().values())
    assert gaussians.scales.min() > 0
    assert gaussians.means.abs().max() < 1
    for values in (gaussians.opacities, gaussians.colors):
        assert 0 <= values.min() <= values.max() <= 1
    torch.testing.assert_close(gaussians.quats.norm(dim=-1), torch.ones(len(gaussians)))


@pytest.mark.parametrize("elevation", [30.0, -20.0])
def test_a_raised_camera_sees_the_same_picture(expert, views, elevation):
    """Upright planes lean in such a picture, so none is used."""
    unmirrored = replace(expert, plane_finder=KnownPlane(torch.zeros(4)))
    level = render(unmirrored.lift(views[0], 3000), orbit(0.0, size=64)).rgb
    raised = render(expert.lift(views[0], 3000, elevation), orbit(0.0, elevation, size=64)).rgb
    assert psnr(raised, level) > 35
    pseudo = render(expert.reconstruct(views, elevation), orbit(0.0, elevation, size=SIZE)).rgb
    assert psnr(pseudo, on_white(views[:1])) > 23.5


def test_the_same_picture_gives_the_same_gaussians(expert, views):
    first, second = expert.lift(views[0], 4000), expert.lift(views[0].clone(), 4000)
    assert all(torch.equal(first.state()[name], second.state()[name]) for name in first.state())


def test_an_empty_cut_out_is_refused(expert):
    with pytest.raises(UserError, match="cut-out is empty"):
        expert.lift(torch.zeros(64, 64, 4), 4000)


def test_other_weights_are_refused(tmp_path):
    damaged = tmp_path / "embedded.safetensors"
    shutil.copy(WEIGHTS, damaged)
    with damaged.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(UserError, match=r"embedded\.safetensors is not .* restore it"):
        load_networks(damaged, SHA256)
    with pytest.raises(UserError, match="cannot be read"):
        load_networks(tmp_path / "none.safetensors", SHA256)


def test_without_weights_the_next_expert_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "WEIGHTS", tmp_path / "none.safetensors")
    entry, reason = require("image_to_gaussians", "auto", torch.device("cpu"))
    assert entry.name == "silhouette"
    assert "embedded expert needs its weights" in reason


def test_thin_and_tiny_things(expert):
    """One pixel, a line, and a picture that is opaque up to its border."""
    for place in ((60, 60), (slice(20, 100), 64), (slice(None), slice(None))):
        rgba = torch.zeros(SIZE, SIZE, 4)
        rgba[(*place, slice(None))] = 1.0
        gaussians = expert.lift(rgba, 2000)
        assert len(gaussians) > 0
        assert all(torch.isfinite(x).all() for x in asdict(gaussians).values())
