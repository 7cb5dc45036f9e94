import numpy as np

from ar4d.clip.matting.morphology import (
    connected_parts,
    depth_inside,
    dilate,
    erode,
    fill_enclosed,
    nearest_set,
)


def test_growing_and_shrinking_are_square_and_know_the_border():
    mask = np.zeros((9, 9), bool)
    mask[:, :3] = True
    assert dilate(mask, 3)[:, :4].all()
    assert not dilate(mask, 3)[:, 4:].any()
    assert erode(mask, 3)[:, :2].all()  # not eaten from the picture's border
    assert not erode(mask, 3)[:, 2:].any()


def test_depth_counts_from_the_rim():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    np.testing.assert_array_equal(depth_inside(mask)[4], [0, 0, 1, 2, 3, 2, 1, 0, 0])
    assert (depth_inside(np.ones((4, 4), bool)) >= 4).all()


def test_parts_are_counted_and_holes_filled():
    mask = np.zeros((8, 8), bool)
    mask[1:5, 1:5] = True
    mask[2:4, 2:4] = False
    mask[6, 6] = True
    labels, count = connected_parts(mask)
    assert count == 2
    assert set(np.unique(labels)) == {0, 1, 2}
    assert fill_enclosed(mask).sum() == 17


def test_the_nearest_pixel_of_a_mask_is_found():
    mask = np.zeros((6, 8), bool)
    mask[1, 1] = mask[4, 6] = True
    rows, columns = nearest_set(mask)
    assert (rows[0, 0], columns[0, 0]) == (1, 1)
    assert (rows[5, 7], columns[5, 7]) == (4, 6)
