"""What all formats have in common: options, names of files, and what is told when it cannot be done."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import pytest
import torch

import ar4d.files
from ar4d.errors import UserError
from ar4d.formats import (
    FORMATS,
    ClearVideoOptions,
    GlbOptions,
    MeshOptions,
    PictureOptions,
    SplatOptions,
    VideoOptions,
    export,
    find_format,
)
from ar4d.gaussians import Gaussians
from tests.support.moving import SpinningBall

SMALL = {
    VideoOptions: VideoOptions(size=32, orbit=False),
    ClearVideoOptions: ClearVideoOptions(size=32, orbit=False),
    PictureOptions: PictureOptions(size=32, time=0.5),
    MeshOptions: MeshOptions(resolution=24),
    GlbOptions: GlbOptions(resolution=24),
}


class Broken(SpinningBall):
    """Holds a NaN from the middle of the clip on."""

    def at(self, t: float) -> Gaussians:
        g = super().at(t)
        return replace(g, means=torch.where(torch.tensor(t >= 0.5), torch.nan, g.means))


class Empty(SpinningBall):
    def at(self, t: float) -> Gaussians:
        return super().at(t).select(torch.zeros(0, dtype=torch.long))


def run(asset: SpinningBall, format, folder, options=None):
    entry = find_format(format)
    options = options or SMALL.get(entry.options, entry.options())
    return export(asset, format, folder / entry.default_name(options), options)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_writes_the_files_that_it_names(tmp_path, format):
    written = run(SpinningBall(), format, tmp_path)
    assert written
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(written)
    assert all(p.stat().st_size > 0 for p in written)


@pytest.mark.parametrize("format", FORMATS)
def test_gaussians_that_are_not_finite_are_refused_and_leave_nothing_whole(tmp_path, format):
    with pytest.raises(UserError, match=r"means are not finite at t = 0\.5"):
        run(Broken(), format, tmp_path)
    assert not list(tmp_path.glob("asset.*"))
    assert not list(tmp_path.rglob(".*"))


def test_an_empty_asset_is_refused(tmp_path):
    with pytest.raises(UserError, match="no Gaussians at t = 0"):
        run(Empty(), "ply", tmp_path)


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_told_and_leaves_no_part(tmp_path, monkeypatch, format):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ar4d.files.os, "replace", full)
    with pytest.raises(UserError, match="disk is full"):
        run(SpinningBall(), format, tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_that_cannot_be_made_is_told(tmp_path, format):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        run(SpinningBall(), format, tmp_path / "file" / "sub")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_without_permission_is_told(tmp_path, format):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot be"):
        run(SpinningBall(), format, tmp_path)
    tmp_path.chmod(0o700)


def test_wrong_names_are_told(tmp_path):
    asset = SpinningBall()
    with pytest.raises(UserError, match=r'no format "obj"; choose one of: html, mp4'):
        export(asset, "obj", tmp_path / "a.obj")
    with pytest.raises(UserError, match=r"does not end in \.mp4; name the file a\.mp4"):
        export(asset, "mp4", tmp_path / "a.mov")
    with pytest.raises(UserError, match="a sequence needs a folder"):
        export(asset, "ply", tmp_path / "a.ply")
    with pytest.raises(UserError, match=r"does not end in \.ply"):
        export(asset, "ply", tmp_path / "a", SplatOptions(time=0.5))
    (tmp_path / "b.html").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        export(asset, "html", tmp_path / "b.html")
    with pytest.raises(TypeError, match="glb takes GlbOptions"):
        export(asset, "glb", tmp_path / "a.glb", SplatOptions())


def test_values_out_of_range_are_told(tmp_path):
    asset = SpinningBall()
    with pytest.raises(UserError, match="at least 1 frame, not 0"):
        export(asset, "ply", tmp_path / "ply", SplatOptions(num_frames=0))
    with pytest.raises(UserError, match=r"time 1\.5 lies outside the clip"):
        export(asset, "ply", tmp_path / "a.ply", SplatOptions(time=1.5))
    with pytest.raises(UserError, match="from 16 to 256"):
        export(asset, "glb", tmp_path / "a.glb", GlbOptions(resolution=1000))


def test_frames_of_a_longer_sequence_are_not_mixed_in(tmp_path):
    asset = SpinningBall()
    export(asset, "ply", tmp_path, SplatOptions(num_frames=4))
    export(asset, "ply", tmp_path, SplatOptions(num_frames=4))  # the same again is fine
    with pytest.raises(UserError, match=r"holds 0003\.ply from a longer sequence"):
        export(asset, "ply", tmp_path)


def test_an_asset_of_one_frame_can_be_exported(tmp_path):
    for format in FORMATS:
        assert run(SpinningBall(num_frames=1), format, tmp_path), format
