"""What a run says while it trains: lines of metrics between epochs, its status, and the terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from fkd.training.run import RunFolder
from fkd.training.usage import Load, peak_memory_mb

_BETWEEN_S = 2.0


class Progress:
    """Counts steps, and writes how the training goes about every two seconds.

    Args:
        run: the folder that is written to.
        device: what the run trains on.
        batch_size: faces in each step.
        epoch_steps: steps of an epoch.
        epochs: epochs of the whole training.
        done: epochs that lie behind a resumed run.
        seconds: how long it has trained until now.
        silent: only count, as the processes do that are not the first of their group.
    """

    def __init__(
        self,
        run: RunFolder,
        device: torch.device,
        *,
        batch_size: int,
        epoch_steps: int,
        epochs: int,
        done: int,
        seconds: float,
        silent: bool = False,
    ) -> None:
        self.run, self.device, self.silent = run, device, silent
        self.batch_size, self.epoch_steps, self.steps = batch_size, epoch_steps, epoch_steps * epochs
        self.step, self.seconds = done * epoch_steps, seconds
        self._load = Load(device)
        self._beside_s = 0.0  # what an epoch takes besides its steps
        self._told = time.perf_counter()  # runs on over the ends of epochs, which may be shorter than a pause
        # Without a terminal no bar is drawn: a log would fill with it.
        bar = {"total": self.steps, "initial": self.step, "desc": run.name, "disable": silent or None}
        self._bar = tqdm(**bar, file=sys.stderr)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def start_epoch(self, status: dict[str, Any]) -> None:
        """Begin to count; `status` is what status.json says of the epochs behind."""
        self._status = status
        self._epoch_started = self._line_started = time.perf_counter()
        self._epoch_first = self._line_first = self.step

    def count(self) -> None:
        """One step is done."""
        self.step += 1
        self._bar.update()

    @property
    def is_due(self) -> bool:
        """Whether it is time to `tell`."""
        return not self.silent and time.perf_counter() - self._told >= _BETWEEN_S

    def tell(self, losses: Sequence[float], learning_rate: float) -> None:
        """Write a line of metrics, but for the end of an epoch, which has its own; and the status.

        Args:
            losses: of every step of this epoch so far.
            learning_rate: of the last step.
        """
        new = self.step - self._line_first
        images_per_s = new * self.batch_size / (time.perf_counter() - self._line_started)
        if self.step < self._epoch_first + self.epoch_steps:
            self.run.append_metrics(
                {
                    "epoch": self.step / self.epoch_steps,
                    "step": self.step,
                    "learning_rate": learning_rate,
                    "train_loss": float(np.mean(losses[-new:])),
                    "images_per_s": round(images_per_s, 1),
                    "seconds": round(self.seconds + time.perf_counter() - self._epoch_started, 1),
                }
            )
        self._write_status(images_per_s, learning_rate, time.perf_counter() - self._epoch_started)
        self._told = self._line_started = time.perf_counter()
        self._line_first = self.step

    def _write_status(self, images_per_s: float, learning_rate: float, passed_s: float) -> None:
        pace = passed_s / (self.step - self._epoch_first)
        ahead = self.steps - self.step
        self.run.write_status(
            "running",
            **self._status,
            step=self.step,
            steps=self.steps,
            images_per_s=round(images_per_s, 1),
            learning_rate=learning_rate,
            seconds_left=round(ahead * pace + ahead / self.epoch_steps * self._beside_s),
            memory_mb=peak_memory_mb(self.device),
            load=self._load.share(),
        )

    def end_steps(self) -> float:
        """The epoch's steps are done; returns images a second over them."""
        passed = time.perf_counter() - self._epoch_started
        self.seconds += passed
        self._steps_ended = time.perf_counter()
        return (self.step - self._epoch_first) * self.batch_size / passed

    def end_epoch(self, record: dict[str, Any], status: dict[str, Any]) -> None:
        """The epoch is measured and written; tell the status, and the terminal or whatever reads the output.

        Args:
            record: the epoch's line of metrics.
            status: what status.json says of the epochs behind, with this one.
        """
        self._beside_s = time.perf_counter() - self._steps_ended
        if not self.silent:  # however the run ends, its status knows of every epoch that it can go on from
            self._status = status
            self._write_status(record["images_per_s"], record["learning_rate"], self._steps_ended - self._epoch_started)
        self._bar.set_postfix(loss=f"{record['train_loss']:.3f}", nme=f"{record['validation_nme']:.2f}%")
        if not self.silent and not sys.stderr.isatty() and not _prints_into(self.run.path / "log.txt"):
            print(
                f"{self.run.name}: epoch {record['epoch']} of {self.steps // self.epoch_steps}, "
                f"loss {record['train_loss']:.4f}, validation NME {record['validation_nme']:.2f} %, "
                f"{record['images_per_s']:.0f} images/s",
                flush=True,
            )


def _prints_into(path: os.PathLike[str]) -> bool:
    """Whether this process's output is that file, as it is for a worker in the background."""
    try:
        return os.path.samestat(os.fstat(sys.stdout.fileno()), os.stat(path))  # noqa: PTH116
    except (OSError, ValueError):  # output that is no file
        return False
