"""A run: one training, and the folder that holds all of it.

config.json     the settings it was started with, and under "made_with" versions, data and split
split.csv       which faces it learns from, watches, and never sees
notes.csv       flags and corrections of faces, where the settings ask for them, as they were at its start
metrics.jsonl   one line per epoch, and between epochs one about every two seconds; only ever appended to
status.json     state, progress and a heartbeat, replaced atomically
log.txt         what the training said
lock            held by the process that works on the run
last.pt         everything needed to go on
best.safetensors  the weights that did best on the validation faces
epoch-0010.safetensors  snapshots, where the settings ask for them
samples/        predictions for a few validation faces after each epoch
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

from fkd.errors import FkdError
from fkd.paths import put_in_place, runs_root
from fkd.training.samples import Samples

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_MADE_WITH = "made_with"
_LASTING = ("device", "started", "epoch", "epochs", "validation_nme")


def path_of(name: str) -> Path:
    """Where the run of a new name is to be; `FkdError` for what cannot be a name."""
    if not _NAME.fullmatch(name):
        allowed = "use letters, digits, '-', '_' and '.', and no '-' or '.' first"
        raise FkdError(f"{name[:120]!r} cannot name a run; {allowed}, 80 of them at most.")
    return runs_root() / name


def check_new(name: str) -> None:
    """`FkdError` for what cannot name a run, or names one that there is already."""
    if path_of(name).exists():
        raise _taken(name)


def _taken(name: str) -> FkdError:
    return FkdError(f"There is a run {name!r} already; choose another name, or resume that one.")


class RunFolder:
    """Reads and writes one run's folder; safe to read while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, name: str) -> RunFolder:
        """A new folder under the runs' root; `FkdError` when there is one of this name."""
        path = path_of(name)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise _taken(name) from None
        except OSError as error:
            raise FkdError(f"The folder {path} cannot be made ({error.strerror}); set FKD_RUNS to another.") from None
        return cls(path)

    @classmethod
    def open(cls, name: str) -> RunFolder:
        """An existing run by name; `FkdError` lists the known ones."""
        path = runs_root() / Path(name).name
        if path.name in ("", "..") or not (path / "config.json").is_file():
            known = ", ".join(sorted(p.parent.name for p in runs_root().glob("*/config.json"))) or "none"
            raise FkdError(f"There is no run {name!r}; in {runs_root()} there are: {known}.")
        return cls(path)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def is_writable(self) -> bool:
        """Whether files can be made in it, which they cannot on a read-only mount."""
        return os.access(self.path, os.W_OK)

    @property
    def checkpoint(self) -> Path:
        """Everything needed to go on."""
        return self.path / "last.pt"

    @property
    def weights(self) -> Path:
        """The weights that did best on the validation faces."""
        return self.path / "best.safetensors"

    @property
    def samples(self) -> Samples:
        """Predictions for a few validation faces after each epoch."""
        return Samples(self.path / "samples")

    def snapshot(self, epoch: int) -> Path:
        """The weights after an epoch."""
        return self.path / f"epoch-{epoch:04d}.safetensors"

    def read_config(self) -> dict[str, Any]:
        """The settings the run was started with."""
        return {key: value for key, value in self._read_record().items() if key != _MADE_WITH}

    def read_made_with(self) -> dict[str, Any]:
        """Versions, data and split; empty until the data has been read."""
        return self._read_record().get(_MADE_WITH, {})

    def write_config(self, config: dict[str, Any], made_with: dict[str, Any] | None = None) -> None:
        """Replace config.json."""
        self._replace("config.json", json.dumps({**config, **({_MADE_WITH: made_with} if made_with else {})}, indent=2))

    def write_text(self, file_name: str, text: str) -> None:
        """Replace a file of the folder."""
        self._replace(file_name, text)

    def read_text(self, file_name: str) -> str | None:
        """A file of the folder; None where there is none."""
        path = self.path / file_name
        return path.read_text("utf-8") if path.exists() else None

    def write_status(self, state: str, **progress: Any) -> None:
        """Replace status.json; `state` is waiting, running, finished, stopped or failed.

        Device, start, epoch and best NME stay as they were where nothing newer is given.
        """
        self._replace("status.json", json.dumps(self._status(state, progress)))

    def _status(self, state: str, progress: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in self.read_status().items() if key in _LASTING}
        return {**kept, "state": state, "heartbeat": time.time(), **progress}

    def write_checkpoint(self, data: bytes | memoryview) -> None:
        """Replace last.pt, once all of it is on the disk."""
        aside = self.path / "last.pt.tmp"
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(aside, self.checkpoint)

    def write_failure(self, reason: str, details: str) -> None:
        """Write the status `failed` with its reason, and the details into the log."""
        self.write_end("failed", details, reason=reason)

    def write_end(self, state: str, told: str, **progress: Any) -> None:
        """Write a last status and what the log tells of it, as far as a full or read-only disk lets anybody write."""
        with contextlib.suppress(OSError):
            for half_written in self.path.rglob("*.tmp"):
                half_written.unlink()
        try:
            self.write_status(state, **progress)
        except OSError:
            with contextlib.suppress(OSError):
                self._write_into_status(state, **progress)
        with contextlib.suppress(OSError):
            self.log(told)

    def _write_into_status(self, state: str, **progress: Any) -> None:
        """Overwrite status.json where no other file can be made beside it."""
        text = json.dumps(self._status(state, progress))
        with (self.path / "status.json").open("r+", encoding="utf-8") as file:
            file.write(text)
            file.truncate()

    def read_status(self) -> dict[str, Any]:
        """State and progress; empty before the first was written, and where a crash or a hand has damaged it."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            status = json.loads((self.path / "status.json").read_text("utf-8"))
            return status if _is_status(status) else {}
        return {}

    def append_metrics(self, record: dict[str, Any]) -> int:
        """Append one line and return the length of the file in bytes."""
        with (self.path / "metrics.jsonl").open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    def cut_metrics(self, length: int) -> None:
        """Cut metrics.jsonl back to what a checkpoint knew of."""
        path = self.path / "metrics.jsonl"
        if path.exists():
            os.truncate(path, length)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every complete line of metrics.jsonl; a half-written last one and damaged ones are left out.

        Lines between epochs have a fraction as `epoch`, and nothing of the validation faces.
        """
        path = self.path / "metrics.jsonl"
        return records_of(path.read_bytes().split(b"\n")[:-1] if path.exists() else [])

    def read_epochs(self) -> list[dict[str, Any]]:
        """The lines of complete epochs alone."""
        return [record for record in self.read_metrics() if "validation_nme" in record]

    def best_epoch(self) -> dict[str, Any] | None:
        """The line of the epoch with the lowest validation NME; None before the first has ended."""
        return min(self.read_epochs(), key=lambda record: record["validation_nme"], default=None)

    def log(self, text: str) -> None:
        """Append a line with the time to log.txt."""
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    def _read_record(self) -> dict[str, Any]:
        path = self.path / "config.json"
        with contextlib.suppress(ValueError):
            record = json.loads(path.read_text("utf-8"))
            if isinstance(record, dict):
                return record
        raise FkdError(f"{path} is damaged; mend it, or delete the run's folder.")

    def _replace(self, file_name: str, text: str) -> None:
        aside = self.path / f"{file_name}.tmp"
        aside.write_text(text, encoding="utf-8")
        put_in_place(aside, self.path / file_name)


def records_of(lines: list[bytes]) -> list[dict[str, Any]]:
    """What lines of metrics.jsonl hold; one that a crash has damaged is left out, as the others are worth more."""
    try:
        records = json.loads(b"[" + b",".join(lines) + b"]")  # several times faster than one by one
    except ValueError:
        records = []
        for line in lines:
            with contextlib.suppress(ValueError):
                records.append(json.loads(line))
    return [record for record in records if isinstance(record, dict)]


def _is_status(value: Any) -> bool:
    """Whether this is a status as `write_status` writes it."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("state"), str)
        and isinstance(value.get("heartbeat", 0), (int, float))
        and isinstance(value.get("device", ""), str)
    )
