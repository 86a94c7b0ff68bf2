"""Starting several processes for one training, and knowing to be one of them.

`torchrun -m -- fkd train ...` starts them, on one machine or several; `--device cuda:0,cuda:1` and
`--device cpu,cpu` start a torchrun for this machine alone. What torchrun itself starts listens on all
interfaces; the latter meet through files, and talk to each other through the loopback interface.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fkd.errors import FkdError

MEETING = "FKD_GROUP_FILE"  # where processes meet that are on this machine alone


@dataclass(frozen=True)
class Place:
    """Where torchrun has put this process."""

    rank: int
    size: int
    local_rank: int
    local_size: int

    @classmethod
    def here(cls) -> Place | None:
        """None where torchrun has not started this process."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        if not {*names, "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
            return None
        return cls(*(int(os.environ[name]) for name in names))


def resolve_devices(text: str, processes: int | None = None) -> list[str]:
    """The device of each process of this machine, from what `--device` was given.

    Args:
        text: `auto`, one device, or several joined by commas.
        processes: how many torchrun has started here; as many as `text` names otherwise.

    Raises:
        FkdError: a device that is not there, or devices that cannot train together.
    """
    import torch

    names = ("cuda" if torch.cuda.is_available() else "cpu") if text == "auto" else text
    devices = [_one_name(name) for name in names.split(",")]
    if processes and len(devices) == 1:
        devices = [f"cuda:{i}" for i in range(processes)] if devices[0].startswith("cuda") else devices * processes
    if processes and len(devices) != processes:
        raise FkdError(f"torchrun has started {processes} processes for the {len(devices)} devices {text!r}.")
    gpus = [device for device in devices if device.startswith("cuda")]
    present = {f"cuda:{i}" for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)}
    if absent := [gpu for gpu in gpus if gpu not in present]:
        raise FkdError(f"The device {absent[0]!r} is not available here; use cpu.")
    if len(gpus) not in (0, len(devices)) or len(set(gpus)) != len(gpus):
        raise FkdError(f"The devices {text!r} cannot train together; name distinct GPUs, or cpu several times.")
    for other in set(devices) - set(gpus):
        try:
            torch.empty(1, device=other).tolist()  # the device "meta" has no numbers
        except (RuntimeError, AssertionError, ImportError):  # of what torch does not know, or was not built for
            raise FkdError(f"There is no device {other!r} here; take auto, cpu, or cuda:0 for the first GPU.") from None
    return devices


def _one_name(device: str) -> str:
    """What a device is called by all who wait for it; torch knows more than one name."""
    if device == "cuda":
        return "cuda:0"
    return "cpu" if re.fullmatch(r"cpu:\d+", device) else device


def start_torchrun(arguments: list[str], processes: int) -> int:
    """Become, or on Windows wait for, a torchrun that starts `python -m fkd ARGUMENTS` on this machine alone."""
    folder = Path(tempfile.mkdtemp(prefix="fkd-group-"))  # two small files, which are needed until the very end
    command = [sys.executable, "-m", "torch.distributed.run", "--rdzv-backend=c10d", "--rdzv-id=fkd"]
    command += ["--rdzv-conf=store_type=file", f"--rdzv-endpoint={folder / 'torchrun'}", "--local-addr=127.0.0.1"]
    # Without "--" torchrun would take --run for an abbreviation of an option of its own.
    command += [f"--nproc-per-node={processes}", "-m", "--", "fkd", *arguments]
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    environment = {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback, **os.environ}
    environment |= {MEETING: str(folder / "processes"), "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    if os.name == "nt":  # pragma: no cover
        return subprocess.call(command, env=environment)
    os.execve(sys.executable, command, environment)


def without_torchrun(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables for a process that is to be no part of this one's group."""
    if Place.here() is None:
        return dict(environment)
    prefixes = ("TORCHELASTIC_", "GROUP_", "ROLE_", "LOCAL_", "MASTER_")
    others = ("RANK", "WORLD_SIZE", MEETING, "OMP_NUM_THREADS")  # the last is of torchrun too: one thread a process
    return {key: value for key, value in environment.items() if not key.startswith(prefixes) and key not in others}
