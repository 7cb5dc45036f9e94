"""Windows over both axes."""

import pytest

from ar4d.experts.grid.windows import plan, starts


@pytest.mark.parametrize(("num_views", "num_times", "views", "times", "stride", "done"), [
    (4, 24, 4, 2, 1, 0), (4, 24, 4, 4, 2, 0), (4, 1, 4, 4, 2, 0), (8, 30, 8, 8, 4, 0), (20, 30, 8, 8, 4, 0),
    (4, 300, 4, 4, 2, 0), (4, 9, 4, 4, 2, 5), (4, 7, 4, 4, 4, 0), (5, 3, 2, 2, 1, 1),
])  # fmt: skip
def test_every_cell_is_made_once(num_views, num_times, views, times, stride, done):
    windows = plan(num_views, range(num_times), views, times, stride, done)
    made = [cell for window in windows for cell in window.made]
    assert len(made) == len(set(made))
    expected = {(v, t) for v in range(1, num_views) for t in range(done, num_times)}
    assert set(made) == expected
    exists = {(0, t) for t in range(num_times)} | {(v, t) for v in range(num_views) for t in range(done)}
    for window in windows:
        assert len(window.views) <= views
        assert len(window.times) <= times
        for view, row in zip(window.views, window.known, strict=True):
            for time, known in zip(window.times, row, strict=True):
                assert known == ((view, time) in exists)
        exists.update(window.made)


def test_later_windows_are_given_the_half_that_exists():
    second = plan(4, range(8), 4, 4, 2)[1]
    assert second.times == (2, 3, 4, 5)
    assert second.known == ((True,) * 4, *((True, True, False, False),) * 3)


def test_windows_go_backwards_in_the_order_that_is_given():
    windows = plan(2, (5, 4, 3), 2, 2, 1)
    assert [window.times for window in windows] == [(5, 4), (4, 3)]


def test_the_last_window_ends_with_the_cells():
    assert starts(7, 4, 2) == [0, 2, 3]
    assert starts(8, 4, 2) == [0, 2, 4]
    assert starts(3, 4, 2) == [0]
