"""A lock on a file that ends with the process that holds it, however that process ends."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from types import TracebackType
from typing import Any

if os.name == "nt":  # pragma: no cover
    import msvcrt

    _FAR = 1 << 30  # Windows hides locked bytes from readers, so one behind the text is locked

    def _try_lock(descriptor: int, shared: bool = False) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]

else:
    import fcntl

    def _try_lock(descriptor: int, shared: bool = False) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


_POLL_S = 0.2
_ATTEMPTS, _BETWEEN_S = 5, 0.01


class FileLock:
    """One process at a time holds the lock on `path`; the file says which, and stays when it is let go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock; false when another process, or another object of this one, holds it.

        Raises:
            OSError: the file cannot be written.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        refused = 0
        while True:
            try:
                _try_lock(descriptor)
                break
            except OSError:
                # Whoever asks whether the lock is held shares it for that moment, which on a busy machine is long.
                refused += self.is_held()
            if refused == _ATTEMPTS:
                os.close(descriptor)
                return False
            time.sleep(_BETWEEN_S)
        try:
            os.truncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, json.dumps({"pid": os.getpid(), "host": platform.node()}).encode())
        except OSError:  # a full disk must not leave it held for as long as this process lives
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let the lock go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> dict[str, Any]:
        """`pid` and `host` of the process that took the lock last; empty when none ever did."""
        try:
            return json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError):  # none yet, or just being written
            return {}

    def is_held(self) -> bool:
        """Whether a process holds the lock now, without taking it for longer than the question."""
        if not self.path.exists():
            return False
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            _try_lock(descriptor, shared=True)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def __enter__(self) -> FileLock:
        while not self.try_acquire():
            time.sleep(_POLL_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
