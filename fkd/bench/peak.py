"""How fast a device computes at best, to tell what is left to gain from what is out of reach."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from fkd.models import KeypointNetwork

_CHANNELS, _SIDE, _BATCH = 96, 32, 32  # large enough to keep every thread busy, small enough for the caches
_FLOP = 2 * 9 * _CHANNELS**2 * _SIDE**2 * _BATCH
_REPEATS = 15


def peak_gflop_per_s(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations a second, in thousand millions, of the fastest of several 3x3 convolutions."""
    layout = torch.channels_last
    kernel = torch.rand(_CHANNELS, _CHANNELS, 3, 3, dtype=dtype, device=device).contiguous(memory_format=layout)
    images = torch.rand(_BATCH, _CHANNELS, _SIDE, _SIDE, dtype=dtype, device=device).contiguous(memory_format=layout)
    seconds = []
    with torch.inference_mode():
        for _ in range(_REPEATS):
            started = time.perf_counter()
            F.conv2d(images, kernel, padding=1)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - started)
    return _FLOP / min(seconds) / 1e9


def training_gflop(network: KeypointNetwork, device: torch.device) -> float:
    """Operations, in thousand millions, that a step takes for each picture, there and back; gradients are dropped."""
    image = torch.rand(2, 1, network.input_size, network.input_size, device=device)  # one alone has no variance
    with FlopCounterMode(display=False) as counter:
        sum(part.sum() for part in network(image) if part is not None).backward()
    network.zero_grad(set_to_none=True)
    return counter.get_total_flops() / len(image) / 1e9
