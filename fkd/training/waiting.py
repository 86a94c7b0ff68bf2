"""The queue of each device on disk: one device trains one run at a time, the others wait in order.

`.queue/cpu.json` under the runs' root holds the names that wait; `.queue/cpu.lock` is held by the
process that trains on the device, `.queue/cpu.json.lock` for as long as the file is changed.
"""

from __future__ import annotations

import json
from pathlib import Path

from fkd.lock import FileLock
from fkd.paths import runs_root


class Queue:
    """Names of the runs that wait for one device, the next first."""

    def __init__(self, device: str) -> None:
        folder = runs_root() / ".queue"
        folder.mkdir(parents=True, exist_ok=True)
        stem = device.replace(":", "-")
        self.device = FileLock(folder / f"{stem}.lock")
        self._path = folder / f"{stem}.json"
        self._change = FileLock(folder / f"{stem}.json.lock")

    @property
    def names(self) -> list[str]:
        """Who waits, the next first; safe to read while another process changes it."""
        return json.loads(self._path.read_text("utf-8")) if self._path.exists() else []

    def append(self, name: str) -> None:
        """Put a run at the end, unless it waits already."""
        with self._change:
            if name not in self.names:
                self._write([*self.names, name])

    def remove(self, name: str) -> bool:
        """Take a run out; false when it does not wait."""
        with self._change:
            waiting = self.names
            self._write([other for other in waiting if other != name])
            return name in waiting

    def move(self, name: str, place: int) -> bool:
        """Put a waiting run at a place, 0 the next; false when it does not wait."""
        with self._change:
            others = [other for other in self.names if other != name]
            if len(others) == len(self.names):
                return False
            others.insert(place, name)
            self._write(others)
            return True

    def try_start(self, name: str) -> bool:
        """Take the device for the run whose turn it is; false while another trains or is before it."""
        with self._change:
            if self.names[:1] != [name] or not self.device.try_acquire():
                return False
            self._write(self.names[1:])
            return True

    def _write(self, names: list[str]) -> None:
        aside = self._path.with_name(f"{self._path.name}.tmp")
        aside.write_text(json.dumps(names), encoding="utf-8")
        aside.replace(self._path)


def queues() -> dict[str, list[str]]:
    """The names that wait, by device."""
    files: list[Path] = sorted((runs_root() / ".queue").glob("*.json"))
    devices = [path.stem.replace("-", ":") for path in files]
    return {device: names for device in devices if (names := Queue(device).names)}
