"""The floor: the same points for every picture, which training moves to the mean of the labels."""

from __future__ import annotations

import torch
from torch import nn

from fkd.models.base import KeypointNetwork, Output


class MeanShape(KeypointNetwork):
    """One shape, whatever the picture shows; gives no scores.

    The shape that least squares prefer is the mean, so the common training loop finds it.

    Args:
        keypoints: number of points.
        input_size: side of the crop, which does not matter here.
    """

    def __init__(self, keypoints: int, input_size: int) -> None:
        super().__init__(keypoints, input_size)
        self.shape_norm = nn.Parameter(torch.zeros(keypoints, 2))

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.shape_norm.float().expand(images.shape[0], -1, -1))

    def layers(self) -> dict[str, nn.Module]:
        return {}
