"""Layers that several networks are made of."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn


def standardise(images: torch.Tensor) -> torch.Tensor:
    """Each picture to mean 0 and deviation 1, so that brightness and contrast do not matter."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    deviation = (images - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return (images - mean) / (deviation + 0.02)


def conv_norm_relu(c_in: int, c_out: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a straight connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_norm_relu(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.second(self.first(x)))


def stage_layers(stages: Iterable[nn.Module]) -> dict[str, nn.Module]:
    """The parts of residual stages by name: of each its first convolution, then its blocks."""
    found = {}
    for number, stage in enumerate(stages, start=1):
        first, *blocks = stage.children()
        found[f"stage {number}, convolution"] = first
        found |= {f"stage {number}, block {i}": block for i, block in enumerate(blocks, start=1)}
    return found
