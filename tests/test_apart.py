"""Work in a process of its own: its result, its reports, its failures, and its end when asked."""

from __future__ import annotations

import os
import time

import pytest

from fkd.apart import run_apart
from fkd.errors import FkdError
from fkd.jobs import Job, Stopped
from fkd.progress import listening, report

PATIENCE_S = 120


def add(first: int, second: int) -> dict[str, int]:
    print("what a library says on standard output is no report")
    report("adding", 0.5)
    return {"sum": first + second, "process": os.getpid()}


def refuse() -> None:
    raise FkdError("This cannot be done; do something else.")


def stumble() -> None:
    raise ZeroDivisionError


def vanish() -> None:
    os._exit(9)


def note_and_wait(path: str) -> None:
    report("waiting", 0.1)
    for beat in range(10 * PATIENCE_S):
        with open(path, "w") as file:  # noqa: PTH123
            file.write(str(beat))
        time.sleep(0.1)


def test_the_result_and_the_reports_come_from_another_process() -> None:
    heard = []
    with listening(lambda what, share: heard.append((what, share))):
        result = run_apart(add, first=2, second=3)
    assert result["sum"] == 5
    assert result["process"] != os.getpid()
    assert ("adding", 0.5) in heard


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (refuse, "^This cannot be done; do something else.$"),
        (stumble, "ZeroDivisionError"),
        (vanish, "ended before it was done"),
    ],
)
def test_a_failure_is_one_sentence(function, told) -> None:
    with pytest.raises(FkdError, match=told):
        run_apart(function)


def test_stopping_ends_the_process(tmp_path) -> None:
    path = tmp_path / "beat"
    job = Job("The wait", lambda: run_apart(note_and_wait, path=str(path)))
    ends = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < ends
        time.sleep(0.05)
    job.stop()
    with pytest.raises(Stopped):
        job.result()
    before = path.read_text()
    time.sleep(0.5)
    assert path.read_text() == before
