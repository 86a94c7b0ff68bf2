"""Long work in a thread of its own, watched and stopped from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from fkd.progress import Watch, listening

T = TypeVar("T")


class Stopped(Exception):
    """The work was stopped by its user; no `FkdError`, as there is nothing to mend."""


class Job(Generic[T]):
    """Work that has begun and tells how far it is.

    Attributes:
        title: what the work is for.
        watch: the step under way.
    """

    def __init__(self, title: str, work: Callable[[], T]) -> None:
        self.title, self.watch = title, Watch()
        self._done, self._stop = threading.Event(), threading.Event()
        self._result: T
        self._error: BaseException | None = None
        threading.Thread(target=self._run, args=(work,), name=title, daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether the work has ended, well or not."""
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; whether the work has ended."""
        return self._done.wait(seconds)

    def stop(self) -> None:
        """Ask the work to end at its next report; `result` then raises `Stopped`."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether the work has been asked to end."""
        return self._stop.is_set()

    def result(self) -> T:
        """What the work has returned; raises what it has raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self, work: Callable[[], T]) -> None:
        try:
            with listening(self._hear):
                self._result = work()
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def _hear(self, what: str, share: float) -> None:
        if self._stop.is_set():
            raise Stopped(f"{self.title} was stopped.")
        self.watch(what, share)
