"""Runs as processes of their own: start, stop, resume, delete, and say how each one is.

A worker is `python -m fkd train --run NAME --queued`, detached from whoever starts it. It holds the
lock in its run's folder for as long as it lives; that lock, and for a worker on another machine the
heartbeat, says whether it does: a process id proves nothing. The worker that ends starts the next of
its device's queue; so do those who add to the queue or change it, for the case that a worker was killed.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fkd.errors import FkdError
from fkd.lock import FileLock
from fkd.paths import PROJECT_ROOT, runs_root
from fkd.training.config import TrainConfig
from fkd.training.run import RunFolder, path_of
from fkd.training.torchrun import resolve_devices, without_torchrun
from fkd.training.waiting import Queue, next_ones, read_waiting, waits_somewhere

_SILENT_S = 60.0  # a heartbeat older than this is of a dead worker
_STOPPING_S = 60.0
_TURN_S = 0.5
_GOING_ON = ("running", "waiting")
# Workers that this process has started, by the folder of their run, and who had held the run before.
_workers: dict[Path, tuple[subprocess.Popen, dict[str, Any]]] = {}
_ARCHIVED = ("best.safetensors", "config.json", "metrics.jsonl", "split.csv", "notes.csv", "status.json", "log.txt")


@dataclass(frozen=True)
class RunView:
    """A run as its status and configuration show it.

    Attributes:
        name: the folder's name.
        state: waiting, running, finished, stopped, failed, or lost when its process died.
        config: the settings.
        status: what the worker wrote last: progress, device, heartbeat, the reason of a failure.
    """

    name: str
    state: str
    config: dict[str, Any]
    status: dict[str, Any]


def launch(folder: RunFolder, device: str) -> None:
    """Queue a run whose configuration is written; it starts at once where its device is free.

    Raises:
        FkdError: the folder of runs cannot be written.
    """
    with _errors_in_a_sentence():
        folder.write_status("waiting", device=device)
        if _ended_early(folder.path):  # an earlier try
            del _workers[folder.path]
        Queue(device).append(folder.name)
        start_waiting()


@contextlib.contextmanager
def _errors_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FkdError(f"{error.filename or runs_root()} cannot be written ({error.strerror}).") from None


def start_waiting() -> None:
    """Start every run whose turn it is and whose devices are free; one that cannot be started leaves the queue."""
    while gone := [next_one for next_one in next_ones() if not _can_start(*next_one)]:
        for name, device in gone:
            Queue(device).remove(name)
    for name, device in next_ones():
        if not (Queue(device).is_busy() or _lock(name).is_held() or _is_coming_up(name)):
            _spawn(name, device)


def _can_start(name: str, device: str) -> bool:
    """Whether a waiting run is still there, and its log can be written; if not, the run has failed."""
    path = runs_root() / name
    if not (path / "config.json").is_file():  # deleted by hand while it waited
        return False
    reason = None
    if _ended_early(path):
        reason = f"Its process ended before it could begin; {path / 'log.txt'} may say why. Then resume it."
    try:
        (path / "log.txt").open("ab").close()
    except OSError as error:
        reason = f"{path / 'log.txt'} cannot be written ({error.strerror})."
    if reason:
        RunFolder(path).write_failure(reason, f"{name} could not begin on {device}: {reason}")
    return reason is None


def _ended_early(path: Path) -> bool:
    """Whether the last worker that was started here for a run has ended without ever holding it."""
    worker, holder_before = _workers.get(path, (None, {}))
    return worker is not None and worker.poll() is not None and _lock(path.name).holder() == holder_before


def _is_coming_up(name: str) -> bool:
    """Whether a worker was started here that may need some more seconds until it holds its run."""
    worker, holder_before = _workers.get(runs_root() / name, (None, {}))
    # One that has held it is on its way out, and takes it no more.
    return worker is not None and worker.poll() is None and _lock(name).holder() == holder_before


def _spawn(name: str, device: str) -> None:
    path = runs_root() / name
    command = [sys.executable, "-m", "fkd", "train", "--run", name, "--queued", "--device", device]
    path_of_modules = os.pathsep.join([str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**without_torchrun(os.environ), "PYTHONPATH": path_of_modules}
    with (path / "log.txt").open("ab") as log:
        detached: dict[str, Any] = {"start_new_session": True, "stdin": subprocess.DEVNULL, "stdout": log}
        holder_before = _lock(name).holder()
        _workers[path] = subprocess.Popen(command, stderr=log, env=environment, **detached), holder_before


def give_up(name: str, device: str, reason: str) -> None:
    """For a worker that cannot begin: take its run out of the queue, as failed, or it would be started for ever."""
    Queue(device).remove(name)
    try:
        RunFolder.open(name).write_failure(reason, f"{name} could not begin on {device}: {reason}")
    finally:
        start_waiting()


@contextlib.contextmanager
def turn(folder: RunFolder, device: str, *, queued: bool = False) -> Iterator[None]:
    """For a worker: hold the run, wait until the device is its own, and let the next one start after.

    Args:
        folder: the run.
        device: what it trains on.
        queued: the queue started this worker, which ends where the run has left the queue meanwhile.

    Raises:
        FkdError: another process works on the run, it was taken out of the queue or waits for another device, or
            its folder or the queue cannot be written.
    """
    lock, queue = _lock(folder.name), Queue(device)
    with _errors_in_a_sentence():
        if not lock.try_acquire():
            raise FkdError(f"The run {folder.name!r} is being worked on by another process.")
    can_write = True
    try:
        with _errors_in_a_sentence():
            try:
                if not queued:
                    _append(queue, folder.name)
                _wait_for_turn(folder, queue, device)
                folder.write_status("running", device=device, started=time.time())
            except OSError:
                can_write = False  # the next worker, of this very run, would fail as this one does, and so on
                raise
        yield
    finally:
        queue.release()
        lock.release()
        if can_write:
            with contextlib.suppress(OSError):  # a run that ended well has; who next looks at the queue tries again
                start_waiting()


def _append(queue: Queue, name: str) -> None:
    other = dict(read_waiting()).get(name, queue.device)
    if other != queue.device:
        raise FkdError(f"The run {name!r} waits for {other}; take it out first: python -m fkd runs stop {name}")
    queue.append(name)


def _wait_for_turn(folder: RunFolder, queue: Queue, device: str) -> None:
    announced = False
    try:
        while not queue.try_start(folder.name):
            if folder.name not in queue.names:
                raise FkdError(f"The run {folder.name!r} was taken out of the queue.")
            if not announced:
                folder.write_status("waiting", device=device)
                print(f"{folder.name} waits until {device} is free; see python -m fkd runs queue", flush=True)
                announced = True
            time.sleep(_TURN_S)
    except KeyboardInterrupt:
        queue.remove(folder.name)
        folder.write_status("stopped", device=device)
        raise


def view(name: str) -> RunView:
    """How a run is; `FkdError` for an unknown one."""
    folder = RunFolder.open(name)
    status = folder.read_status()
    state = status.get("state", "lost")
    if state in _GOING_ON and not _is_going_on(folder, state, status):
        status = folder.read_status()  # it may have ended in good order meanwhile
        state = "lost" if status.get("state", state) == state else status["state"]
    return RunView(folder.name, state, folder.read_config(), status)


def _is_going_on(folder: RunFolder, state: str, status: dict[str, Any]) -> bool:
    lock = _lock(folder.name)
    if lock.is_held() or (state == "waiting" and waits_somewhere(folder.name)):
        return True
    here = lock.holder().get("host") == platform.node()
    return not here and time.time() - status.get("heartbeat", 0) < _SILENT_S


def view_all() -> list[RunView]:
    """Every run that can be read, the last written first."""
    views = []
    for path in runs_root().glob("*/config.json"):
        with contextlib.suppress(FkdError, OSError):  # damaged, or deleted meanwhile
            views.append(view(path.parent.name))
    return sorted(views, key=lambda v: v.status.get("heartbeat", 0), reverse=True)


def stop(name: str) -> None:
    """End a run in good order, or take it out of the queue; its last checkpoint stands.

    Raises:
        FkdError: it is not running, or on another machine, or somebody else's, or does not end.
    """
    folder, before = RunFolder.open(name), view(name)
    lock = _lock(folder.name)
    if before.state == "waiting":
        with _errors_in_a_sentence():
            Queue(before.status.get("device", "cpu")).remove(folder.name)
            folder.write_status("stopped")
            start_waiting()  # those behind it
    elif before.state != "running":
        raise FkdError(f"The run {name!r} is {before.state}, not running.")
    holder = lock.holder()
    if lock.is_held() and holder.get("host") == platform.node():
        try:
            os.kill(holder["pid"], signal.SIGTERM)
        except ProcessLookupError:  # it has just ended by itself
            pass
        except PermissionError:
            raise FkdError(f"The run {name!r} was started by somebody else, who can stop it.") from None
    elif before.state == "running":
        raise FkdError(f"The run {name!r} runs on {holder.get('host', 'another machine')}; stop it there.")
    ends = time.monotonic() + _STOPPING_S
    while lock.is_held():
        if time.monotonic() > ends:
            raise FkdError(f"The run {name!r} has not ended after {_STOPPING_S:.0f} seconds; try again.")
        time.sleep(_TURN_S)


def resume(name: str, device: str | None = None) -> None:
    """Queue a run again that was stopped, failed or lost.

    Raises:
        FkdError: it is another, or cannot go on: settings that cannot be read, or a device that is not there.
    """
    before = view(name)
    if before.state in (*_GOING_ON, "finished"):
        raise FkdError(f"The run {name!r} is {before.state}; only stopped, failed and lost ones can go on.")
    TrainConfig.from_dict(before.config).checked()
    devices = resolve_devices(device or before.status.get("device", "cpu"))
    launch(RunFolder.open(name), ",".join(devices))


def delete(name: str) -> None:
    """Delete a run's folder with all of it; `FkdError` while the run is going on."""
    before = view(name)
    if before.state in _GOING_ON:
        raise FkdError(f"The run {name!r} is {before.state}; stop it first.")
    try:
        shutil.rmtree(RunFolder.open(name).path)
    except OSError as error:
        reason = error.strerror or error  # of a linked folder neither file nor reason is told apart
        raise FkdError(f"{error.filename or runs_root() / before.name} cannot be deleted ({reason}).") from None


def rename(name: str, new_name: str) -> None:
    """Give a run another name; `FkdError` while it is going on, and for a name that is taken or cannot be one."""
    before, path = view(name), path_of(new_name)
    if before.state in _GOING_ON:
        raise FkdError(f"The run {name!r} is {before.state}; stop it first.")
    if path.exists():
        raise FkdError(f"There is a run {new_name!r} already; choose another name.")
    try:
        RunFolder.open(name).path.rename(path)
    except OSError as error:
        raise FkdError(f"The run {name!r} cannot be renamed ({error.strerror}).") from None


def write_zip(name: str, file: BinaryIO) -> None:
    """Write a run's weights, settings, metrics, split and log into a zip archive; `FkdError` for an unknown run."""
    name, path = RunFolder.open(name).name, RunFolder.open(name).path
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for file_name in _ARCHIVED:
            if (path / file_name).is_file():
                archive.write(path / file_name, f"{name}/{file_name}")


def move(name: str, place: int) -> None:
    """Put a waiting run at a place of its queue, 1 the next; `FkdError` when it does not wait."""
    found = view(name)
    with _errors_in_a_sentence():
        if not Queue(found.status.get("device", "cpu")).move(found.name, max(place - 1, 0)):
            raise FkdError(f"The run {found.name!r} does not wait in a queue.")
        start_waiting()


def _lock(name: str) -> FileLock:
    return FileLock(runs_root() / name / "lock")
