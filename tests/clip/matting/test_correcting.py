"""Carried corrections against the exact masks of generated footage."""

from __future__ import annotations

import numpy as np
import pytest

from ar4d.clip.corrections import Mark
from ar4d.clip.matting.boxes import carry_boxes, cut_frames
from ar4d.clip.matting.correcting import apply_marks
from ar4d.clip.matting.flow import Flow
from ar4d.clip.matting.graph_cut import PERHAPS_REST, PERHAPS_SUBJECT, REST, SUBJECT, learn, split
from benchmarks.support.animal import Footage, walking_cat


@pytest.fixture(scope="module")
def footage() -> Footage:
    return walking_cat(10, 256, 192)


@pytest.fixture(scope="module")
def flow(footage: Footage) -> Flow:
    return Flow(footage.pictures)


def overlap(masks: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Intersection over union in each frame."""
    return (masks & truth).sum((1, 2)) / (masks | truth).sum((1, 2))


def test_one_click_drops_a_cushion_that_the_subject_walks_past(footage: Footage, flow: Flow) -> None:
    found = footage.subject | footage.cushion
    assert overlap(found, footage.subject).max() < 0.75
    click = Mark(1, ((0.86, 0.70),), keep=False)
    masks = apply_marks(footage.pictures, found, [(0, click)], flow)
    assert overlap(masks, footage.subject).min() > 0.97


def test_a_click_in_the_last_frame_is_carried_backwards(footage: Footage, flow: Flow) -> None:
    found = footage.subject | footage.cushion
    click = Mark(10, ((0.93, 0.70),), keep=False)
    masks = apply_marks(footage.pictures, found, [(9, click)], flow)
    assert overlap(masks, footage.subject).min() > 0.9


def test_clicks_bring_a_missing_head_back(footage: Footage, flow: Flow) -> None:
    found = footage.subject.copy()
    place = [0.30 + 0.36 * k / 9 for k in range(10)]  # of the cat, in shares of the width
    for k, x in enumerate(place):
        found[k, :, round((x + 0.09) * 256) :] = False
    assert overlap(found, footage.subject).max() < 0.75
    head = [(k, Mark(k + 1, ((place[k] + 0.155, 0.56),), keep=True)) for k in (0, 6)]
    masks = apply_marks(footage.pictures, found, head, flow)
    assert overlap(masks, footage.subject).mean() > 0.87
    assert overlap(masks, footage.subject).min() > 0.84


def test_a_mark_touches_nothing_that_it_is_not_on(footage: Footage, flow: Flow) -> None:
    beside = Mark(1, ((0.5, 0.97),), keep=False)  # a drop on the floor, where no subject was found
    masks = apply_marks(footage.pictures, footage.subject, [(0, beside)], flow)
    np.testing.assert_array_equal(masks, footage.subject)
    inside = Mark(1, ((0.30, 0.66),), keep=True)  # a keep on the subject
    masks = apply_marks(footage.pictures, footage.subject, [(0, inside)], flow)
    np.testing.assert_array_equal(masks, footage.subject)


def test_a_stroke_drops_what_it_paints(footage: Footage, flow: Flow) -> None:
    belly = Mark(1, ((0.28, 0.71), (0.33, 0.71)), keep=False, radius=0.02)
    masks = apply_marks(footage.pictures, footage.subject, [(0, belly)], flow)
    assert footage.subject[0, round(0.71 * 192), round(0.3 * 256)]
    assert not masks[0, round(0.71 * 192), round(0.3 * 256)]


def test_one_box_follows_the_walk(footage: Footage, flow: Flow) -> None:
    first = footage.subject[0]
    rows, columns = np.flatnonzero(first.any(1)), np.flatnonzero(first.any(0))
    box = (columns[0] - 6.0, rows[0] - 6.0, columns[-1] + 7.0, rows[-1] + 7.0)
    boxes = carry_boxes(footage.subject, {0: box}, flow)
    np.testing.assert_allclose(boxes[0], box)
    for mask, (left, top, right, bottom) in zip(footage.subject, boxes, strict=True):
        inside = mask[int(top) : int(bottom), int(left) : int(right)].sum()
        assert inside > 0.97 * mask.sum()
    moved = (boxes[-1, 0] + boxes[-1, 2] - boxes[0, 0] - boxes[0, 2]) / 2
    assert moved == pytest.approx(0.36 * 256, abs=12)


def test_between_two_boxes_both_are_mixed(footage: Footage, flow: Flow) -> None:
    still = np.zeros_like(footage.subject)
    still[:, 10:20, 10:20] = True  # the wall, which does not move
    boxes = carry_boxes(still, {0: (5, 5, 25, 25), 4: (5, 5, 45, 25)}, flow)
    assert np.all(np.diff(boxes[:5, 2]) > 0)
    assert boxes[2, 2] == pytest.approx(35, abs=2)


def test_a_box_cuts_where_the_subject_goes_on_beyond_it() -> None:
    mask = np.zeros((3, 60, 60), bool)
    mask[:, 20:40, 10:50] = True
    boxes = np.array([[5, 5, 55, 55], [5, 5, 30, 55], [0, 0, 60, 60]], float)
    assert cut_frames(mask, boxes) == (1,)


def test_a_cut_follows_the_edge_of_colours() -> None:
    picture = np.full((40, 60, 3), (200, 40, 40), np.uint8)
    picture[:, 33:] = (40, 60, 200)
    labels = np.full((40, 60), PERHAPS_REST, np.uint8)
    labels[:, :28] = PERHAPS_SUBJECT
    labels[:, 0], labels[:, -1] = SUBJECT, REST
    region = np.ones((40, 60), bool)
    red = np.tile(np.arange(60) < 33, (40, 1))
    np.testing.assert_array_equal(split(picture, labels, region), red)
    region[:10] = False
    np.testing.assert_array_equal(split(picture, labels, region), red & region)
    colors = learn(picture, red, ~red)
    assert colors is not None
    evidence = colors.evidence(picture)
    assert evidence[:, :33].min() > 0 > evidence[:, 33:].max()
    assert learn(picture, red, np.zeros_like(red)) is None
