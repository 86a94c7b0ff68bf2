"""What long work tells of itself: code deep inside reports its steps, and whoever waits for it listens.

    with listening(Watch()) as watch:
        load_dataset("kaggle")    # meanwhile, in another thread: watch.sentence(), watch.share

Nothing happens where nobody listens. A listener may raise to stop the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

# Called with what is being done and the share of it, 0 to 1, that is done.
Listener = Callable[[str, float], None]
L = TypeVar("L", bound=Listener)
T = TypeVar("T")

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_TOO_EARLY_S = 1.0  # an estimate from less is a guess


@contextmanager
def listening(listener: L) -> Iterator[L]:
    """Let `listener` hear what is reported inside, in this thread."""
    token = _listener.set(listener)
    try:
        yield listener
    finally:
        _listener.reset(token)


def report(what: str, share: float) -> None:
    """Tell the listener, if there is one, how far a step has come."""
    listener = _listener.get()
    if listener is not None:
        listener(what, share)


def steps(what: str, items: Collection[T]) -> Iterator[T]:
    """The items one by one, each reported."""
    for done, item in enumerate(items):
        report(what, done / len(items))
        yield item
    report(what, 1.0)


def parts(what: str, items: Collection[T]) -> Iterator[T]:
    """The items one by one; whatever is reported for one of them counts as its share of all, under one name."""
    outer = _listener.get()
    for done, item in enumerate(items):

        def hear(_: str, share: float, done: int = done) -> None:
            if outer is not None:
                outer(what, (done + share) / len(items))

        token = _listener.set(hear)
        try:
            yield item
        finally:
            _listener.reset(token)


class Watch:
    """A listener that remembers the step under way and estimates how long it will still take."""

    def __init__(self) -> None:
        self.what, self.share = "", 0.0
        self._began_s, self._began_share = 0.0, 0.0

    def __call__(self, what: str, share: float) -> None:
        """Hear of a step."""
        now_s = time.monotonic()
        if what != self.what:  # a resumed download begins with what is there already
            self._began_s, self._began_share = now_s, share
        self.what, self.share = what, min(max(share, 0.0), 1.0)

    def seconds_left(self) -> float | None:
        """Until the end of the step, at its mean pace; None while that is unknown."""
        passed_s, done = time.monotonic() - self._began_s, self.share - self._began_share
        return passed_s * (1 - self.share) / done if done > 0 and passed_s > _TOO_EARLY_S else None

    def sentence(self) -> str:
        """As in `Reading training.csv: 40 %, 12 s left`."""
        if not self.what:
            return ""
        left_s = self.seconds_left()
        told = self.what[0].upper() + self.what[1:]
        if self.share > 0:
            told += f": {self.share:.0%}"
        return told if left_s is None else f"{told}, {in_words(left_s)} left"


def in_words(seconds: float) -> str:
    """A duration, rounded to what matters: `12 s`, `3 min`, `1.5 h`."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
