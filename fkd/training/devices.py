"""What a training can run on here, and how a choice of it is written for `--device`."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

import torch

from fkd.apart import run_apart

CPU, TWO_PROCESSES = "cpu", "cpu,cpu"
_GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """A GPU that torch can use.

    Attributes:
        device: its name for `--device`, such as `cuda:0`.
        name: what its maker calls it.
        free_bytes: memory that nothing takes now; None where the GPU refuses to tell, as one that is full does.
        total_bytes: all of its memory, likewise.
    """

    device: str
    name: str
    free_bytes: int | None
    total_bytes: int | None

    @property
    def title(self) -> str:
        """Name and free memory, as in `NVIDIA H200, 120 of 140 GiB free`."""
        if self.free_bytes is None or self.total_bytes is None:
            return f"{self.name}, which does not tell its memory"
        return f"{self.name}, {self.free_bytes / _GIB:.0f} of {self.total_bytes / _GIB:.0f} GiB free"


def list_gpus() -> list[Gpu]:
    """Every GPU; asked for in a process of its own, as torch takes some of its memory to ask."""
    return [Gpu(**gpu) for gpu in run_apart(describe_gpus)] if torch.cuda.is_available() else []


def describe_gpus() -> list[dict[str, Any]]:
    """The fields of a `Gpu` for each that this process sees."""
    found = []
    for index in range(torch.cuda.device_count()):
        device = name = f"cuda:{index}"
        free = total = None
        with contextlib.suppress(RuntimeError):  # of one that is full or in use by one process alone
            name = torch.cuda.get_device_name(index)
            free, total = torch.cuda.mem_get_info(index)
        found.append({"device": device, "name": name, "free_bytes": free, "total_bytes": total})
    return found


def title_of(device: str, gpus: list[Gpu]) -> str:
    """What a person reads for a device, or for several joined by commas."""
    if device == CPU:
        return f"CPU, {os.cpu_count() or 1} cores"
    if device == TWO_PROCESSES:
        return "CPU, two processes"
    return " + ".join(next((gpu.title for gpu in gpus if gpu.device == one), one) for one in device.split(","))
