"""What a training takes of the machine: memory, and the load of its processor or GPU."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import torch

if sys.platform == "win32":  # pragma: no cover
    resource = None
else:
    import resource


def peak_memory_mb(device: torch.device) -> float | None:
    """The most memory taken so far in MiB: of the GPU, or of this process; None where nobody counts."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    if resource is None:
        return None
    if (of_linux := _linux_peak_kib()) is not None:
        return round(of_linux / 1024, 1)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on a Mac, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def _linux_peak_kib() -> int | None:
    """What Linux tells of this program alone: its `getrusage` goes on from the program that started this one."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return None


class Load:
    """How busy this process keeps the device it trains on."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._cpu_s, self._wall_s = time.process_time(), time.perf_counter()

    def share(self) -> float | None:
        """From 0 to 1: the GPU's utilisation, or this process's share of all cores since last asked."""
        if self.device.type == "cuda":
            try:
                return torch.cuda.utilization(self.device) / 100
            except Exception:  # NVIDIA's library may be missing, or refuse parts of a GPU with errors of its own
                return None
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        share = (cpu_s - self._cpu_s) / max(wall_s - self._wall_s, 1e-9) / (os.cpu_count() or 1)
        self._cpu_s, self._wall_s = cpu_s, wall_s
        return round(min(share, 1.0), 3)
