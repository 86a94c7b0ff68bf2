"""The queue on disk: one device trains one run at a time, the others wait in order.

`.queue/waiting.json` under the runs' root holds the name and the devices of each run that waits, in
one order for all devices, so that two runs which need several never wait for each other; and the
machine, as machines may share the folder, whose runs the others leave alone. `.queue/cpu@HOST.lock` is
held by the process that trains on the device, `.queue/waiting.json.lock` for as long as the file is changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from pathlib import Path
from typing import NamedTuple

from fkd.lock import FileLock
from fkd.paths import put_in_place, runs_root

Waiting = list[tuple[str, str]]  # name and devices of each run


class _Entry(NamedTuple):
    """A run that waits."""

    name: str
    device: str
    host: str


def devices_of(device: str) -> list[str]:
    """The devices that a text such as `cuda:0,cuda:1` names, each once; two processes share `cpu`."""
    return sorted(set(device.split(",")))


class Queue:
    """The runs that wait for a device of this machine, or for several at once, the next first.

    Args:
        device: `cpu`, `cuda:0`, or a list such as `cuda:0,cuda:1`.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.locks = [_lock_of(name) for name in devices_of(device)]
        self._change = FileLock(_folder() / "waiting.json.lock")

    @property
    def names(self) -> list[str]:
        """Who waits for any of these devices, the next first; safe to read while another process changes it."""
        return [name for name, device in read_waiting() if self._shares(device)]

    def append(self, name: str) -> None:
        """Put a run at the end, unless it waits already."""
        with self._change:
            waiting = _read()
            if name not in _names(waiting):
                _write([*waiting, _Entry(name, self.device, platform.node())])

    def remove(self, name: str) -> bool:
        """Take a run out, whichever machine's it is to wait for; false when it does not wait."""
        with self._change:
            waiting = _read()
            _write([entry for entry in waiting if entry.name != name])
            return name in _names(waiting)

    def move(self, name: str, place: int) -> bool:
        """Put a waiting run at a place among those that share a device with it, 0 the next; false without it."""
        with self._change:
            waiting = _read()
            moved = next((entry for entry in waiting if entry.name == name), None)
            if moved is None:
                return False
            waiting.remove(moved)
            rivals = [i for i, entry in enumerate(waiting) if _is_here(entry) and self._shares(entry.device)]
            waiting.insert(rivals[place] if place < len(rivals) else len(waiting), moved)
            _write(waiting)
            return True

    def try_start(self, name: str) -> bool:
        """Take the devices for the run whose turn it is; false while another has one or is before it."""
        with self._change:
            if self.names[:1] != [name] or not self._try_acquire():
                return False
            _write([entry for entry in _read() if entry.name != name])
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
    """Name and devices of every run that waits here; nobody where the file is damaged: those are lost, not broken."""
    return [(entry.name, entry.device) for entry in _read() if _is_here(entry)]


def waits_somewhere(name: str) -> bool:
    """Whether a run waits, on this machine or on another that shares the folder."""
    return name in _names(_read())


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


def _lock_of(device: str) -> FileLock:
    return FileLock(_folder() / f"{device.replace(':', '-')}@{platform.node()}.lock")


def _names(waiting: list[_Entry]) -> set[str]:
    return {entry.name for entry in waiting}


def _is_here(entry: _Entry) -> bool:
    return entry.host == platform.node()


def _folder() -> Path:
    folder = runs_root() / ".queue"
    with contextlib.suppress(OSError):  # runs on a read-only mount can be looked at
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read() -> list[_Entry]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        waiting = json.loads((_folder() / "waiting.json").read_text("utf-8"))
        return [_Entry(str(name), str(device), str(host)) for name, device, host in waiting]
    return []


def _write(waiting: list[_Entry]) -> None:
    path = _folder() / "waiting.json"
    aside = path.with_name(f"{path.name}.tmp")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(waiting, file)
        file.flush()
        os.fsync(file.fileno())  # or a crash could leave an empty file under the new name
    put_in_place(aside, path)
