"""Steps that are reported, and jobs that are watched and stopped."""

import threading

import pytest

from fkd import progress
from fkd.errors import FkdError
from fkd.jobs import Job, Stopped
from fkd.progress import Watch, in_words, listening, parts, report, steps


def test_steps_are_heard_inside_and_nowhere_else():
    heard = []
    with listening(lambda what, share: heard.append((what, share))):
        assert list(steps("counting", "ab")) == ["a", "b"]
    report("later", 0.0)
    assert heard == [("counting", 0.0), ("counting", 0.5), ("counting", 1.0)]


def test_parts_are_told_as_one_whole():
    heard = []
    with listening(lambda what, share: heard.append((what, share))):
        for item in parts("measuring", "ab"):
            assert list(steps(f"part {item}", range(2))) == [0, 1]
        report("after", 0.0)
    assert heard == [("measuring", share) for share in (0.0, 0.25, 0.5, 0.5, 0.75, 1.0)] + [("after", 0.0)]
    with listening(heard.append), pytest.raises(ZeroDivisionError):
        for _ in parts("failing", [1]):
            raise ZeroDivisionError
    assert list(parts("unheard", "ab")) == ["a", "b"]


@pytest.mark.parametrize(
    ("begun_at", "share", "passed_s", "left_s"),
    [
        (0.0, 0.25, 10, 30),
        (0.5, 0.75, 10, 10),  # a resumed download: only what came now tells the pace
        (0.5, 0.5, 10, None),
        (0.0, 0.25, 0.5, None),
    ],
)
def test_time_left_follows_the_pace_of_the_step(monkeypatch, begun_at, share, passed_s, left_s):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    watch = Watch()
    watch("something else", 0.9)
    watch("downloading", begun_at)
    clock[0] += passed_s
    watch("downloading", share)
    assert watch.seconds_left() == (None if left_s is None else pytest.approx(left_s))
    assert watch.sentence().startswith(f"Downloading: {share:.0%}")
    assert ("left" in watch.sentence()) == (left_s is not None)


@pytest.mark.parametrize(("seconds", "words"), [(0.1, "1 s"), (89, "89 s"), (91, "2 min"), (5400, "1.5 h")])
def test_durations(seconds, words):
    assert in_words(seconds) == words


def test_a_job_returns_what_its_work_returns():
    job = Job("adding", lambda: 1 + 1)
    assert job.result() == 2
    assert job.done


def test_a_job_raises_what_its_work_raises():
    def fail():
        raise FkdError("no")

    for _ in range(2):
        with pytest.raises(FkdError, match="no"):
            Job("failing", fail).result()


def test_a_job_stops_at_its_next_report():
    begun, go_on = threading.Event(), threading.Event()

    def work():
        report("working", 0.5)
        begun.set()
        assert go_on.wait(10)
        report("working", 0.6)
        pytest.fail("it went on")

    job = Job("Counting", work)
    assert begun.wait(10)
    assert not job.done and job.watch.share == 0.5
    job.stop()
    go_on.set()
    with pytest.raises(Stopped, match="Counting was stopped"):
        job.result()
