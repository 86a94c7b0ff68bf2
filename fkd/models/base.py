"""What every network is: grey crops in, points (and, where it has them, scores) out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class Output(NamedTuple):
    """What a network says about n crops.

    Attributes:
        points_norm: (n, k, 2) x, y from -1 to 1 between the centres of the crop's outermost pixels.
        point_logits: (n, k) the higher the surer, or None from a network that gives no scores.
        face_logits: (n,) likewise for there being a face at all.
        heatmap_logits: (n, k, h, w) before the softmax, or None from a network without heatmaps.
    """

    points_norm: torch.Tensor
    point_logits: torch.Tensor | None = None
    face_logits: torch.Tensor | None = None
    heatmap_logits: torch.Tensor | None = None


class KeypointNetwork(nn.Module):
    """Base of all networks.

    Attributes:
        keypoints: k, the number of points.
        input_size: side of the square crop in pixels.
        gives_scores: whether it says how sure it is of each point and of there being a face.
        styles: names of the datasets whose ways to place points it tells apart; such a network takes (n,) indices
            of them beside the images.
    """

    gives_scores = False
    styles: tuple[str, ...] = ()

    def __init__(self, keypoints: int, input_size: int) -> None:
        super().__init__()
        self.keypoints = keypoints
        self.input_size = input_size

    def forward(self, images: torch.Tensor) -> Output:
        """(n, 1, s, s) float in [0, 1] to `Output`."""
        raise NotImplementedError

    def layers(self) -> dict[str, nn.Module]:
        """The parts worth looking into, by names that explain themselves; each gives one tensor a call."""
        raise NotImplementedError


def px_to_norm(points_px: torch.Tensor, size: int) -> torch.Tensor:
    """Crop pixels to [-1, 1]; pixel 0 is -1 and pixel size - 1 is 1."""
    return points_px * (2 / (size - 1)) - 1


def norm_to_px(points_norm: torch.Tensor, size: int) -> torch.Tensor:
    """The inverse of `px_to_norm`."""
    return (points_norm + 1) * ((size - 1) / 2)
