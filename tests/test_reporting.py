import threading

import pytest

from ar4d.events import Progress, Warned
from ar4d.reporting import Abandoned, reporting


def test_events_come_in_order_and_the_result_at_the_end():
    def work(report):
        report(Progress("sampling", 1, 2))
        report(Progress("sampling", 2, 2))
        return 7

    results = []

    def collect():
        results.append((yield from reporting(work)))

    assert list(collect()) == [Progress("sampling", 1, 2), Progress("sampling", 2, 2)]
    assert results == [7]


def test_an_error_comes_out_as_it_is():
    def work(report):
        report(Warned("before"))
        raise KeyError("mine")

    stream = reporting(work)
    assert next(stream) == Warned("before")
    with pytest.raises(KeyError, match="mine"):
        next(stream)


def test_closing_stops_the_work_at_its_next_report_and_waits_for_it():
    stopped, may_go_on = [], threading.Event()

    def work(report):
        try:
            report(Warned("first"))
            may_go_on.wait(10)
            report(Warned("second"))
            stopped.append("never")
        except Abandoned:
            stopped.append("abandoned")
            raise

    stream = reporting(work)
    next(stream)
    threading.Timer(0.05, may_go_on.set).start()
    stream.close()
    assert stopped == ["abandoned"]
