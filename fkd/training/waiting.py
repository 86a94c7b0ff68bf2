"""The queue on disk: one device trains one run at a time, the others wait in order.

`.queue/waiting.json` under the runs' root holds the name and the devices of each run that waits, in
one order for all devices, so that two runs which need several never wait for each other.
`.queue/cpu.lock` is held by the process that trains on the device, `.queue/waiting.json.lock` for as
long as the file is changed.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from fkd.lock import FileLock
from fkd.paths import runs_root

Waiting = list[tuple[str, str]]  # name and devices of each run


def devices_of(device: str) -> list[str]:
    """The devices that a text such as `cuda:0,cuda:1` names, each once; two processes share `cpu`."""
    return sorted(set(device.split(",")))


class Queue:
    """The runs that wait for a device, or for several at once, the next first.

    Args:
        device: `cpu`, `cuda:0`, or a list such as `cuda:0,cuda:1`.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.locks = [FileLock(_folder() / f"{name.replace(':', '-')}.lock") for name in devices_of(device)]
        self._change = FileLock(_folder() / "waiting.json.lock")

    @property
    def names(self) -> list[str]:
        """Who waits for any of these devices, the next first; safe to read while another process changes it."""
        return [name for name, device in read_waiting() if self._shares(device)]

    def append(self, name: str) -> None:
        """Put a run at the end, unless it waits already."""
        with self._change:
            waiting = read_waiting()
            if name not in dict(waiting):
                _write([*waiting, (name, self.device)])

    def remove(self, name: str) -> bool:
        """Take a run out; false when it does not wait."""
        with self._change:
            waiting = read_waiting()
            _write([entry for entry in waiting if entry[0] != name])
            return name in dict(waiting)

    def move(self, name: str, place: int) -> bool:
        """Put a waiting run at a place among those that share a device with it, 0 the next; false without it."""
        with self._change:
            waiting = read_waiting()
            if name not in dict(waiting):
                return False
            others = [entry for entry in waiting if entry[0] != name]
            rivals = [i for i, (_, device) in enumerate(others) if self._shares(device)]
            others.insert(rivals[place] if place < len(rivals) else len(others), (name, dict(waiting)[name]))
            _write(others)
            return True

    def try_start(self, name: str) -> bool:
        """Take the devices for the run whose turn it is; false while another has one or is before it."""
        with self._change:
            if self.names[:1] != [name] or not self._try_acquire():
                return False
            _write([entry for entry in read_waiting() if entry[0] != name])
            return True

    def is_busy(self) -> bool:
        """Whether a run trains on any of the devices."""
        return any(lock.is_held() for lock in self.locks)

    def place_of(self, name: str) -> int:
        """How many runs end before this one can begin: 1 when it is the next, 0 when it is starting now."""
        names = self.names
        place = names.index(name) if name in names else 0
        return place + 1 if place or self.is_busy() else 0

    def release(self) -> None:
        """Let the devices go."""
        for lock in self.locks:
            lock.release()

    def _try_acquire(self) -> bool:
        for i, lock in enumerate(self.locks):
            if not lock.try_acquire():
                for taken in self.locks[:i]:
                    taken.release()
                return False
        return True

    def _shares(self, device: str) -> bool:
        return not set(devices_of(self.device)).isdisjoint(devices_of(device))


def read_waiting() -> Waiting:
    """Name and devices of every run that waits; nobody where the file is damaged: those runs are lost, not broken."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        waiting = json.loads((_folder() / "waiting.json").read_text("utf-8"))
        return [(str(name), str(device)) for name, device in waiting]
    return []


def queues() -> dict[str, list[str]]:
    """The names that wait, by device; a run that waits for several is under each."""
    waiting = read_waiting()
    devices = sorted({single for _, device in waiting for single in devices_of(device)})
    return {single: [name for name, device in waiting if single in devices_of(device)] for single in devices}


def next_ones() -> Waiting:
    """Name and devices of the waiting runs that none before them keeps from starting."""
    taken: set[str] = set()
    free: Waiting = []
    for name, device in read_waiting():
        if taken.isdisjoint(devices_of(device)):
            free.append((name, device))
        taken.update(devices_of(device))
    return free


def _folder() -> Path:
    folder = runs_root() / ".queue"
    with contextlib.suppress(OSError):  # runs on a read-only mount can be looked at
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(waiting: Waiting) -> None:
    path = _folder() / "waiting.json"
    aside = path.with_name(f"{path.name}.tmp")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(waiting, file)
        file.flush()
        os.fsync(file.fileno())  # or a crash could leave an empty file under the new name
    aside.replace(path)
