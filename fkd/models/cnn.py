"""Convolutions, pooling and dense layers, after LeNet (LeCun et al., 1998)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from fkd.models.base import KeypointNetwork, Output


class Cnn(KeypointNetwork):
    """Plain coordinates from convolutions and one hidden dense layer; gives no scores.

    Args:
        keypoints: number of points.
        input_size: side of the crop, at least 2 to the power of the number of convolutions.
        widths: channels of the convolutions, each followed by max pooling.
        dense: outputs of the hidden dense layer.
        dropout: share of the hidden layer's outputs that is silenced in training.
    """

    def __init__(
        self,
        keypoints: int,
        input_size: int,
        widths: tuple[int, ...] = (32, 64, 128),
        dense: int = 256,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(keypoints, input_size)
        self.features = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
                for c_in, c_out in pairwise((1, *widths))
            )
        )
        side = input_size >> len(widths)
        self.hidden = nn.Sequential(nn.Linear(widths[-1] * side**2, dense), nn.ReLU(), nn.Dropout(dropout))
        self.regressor = nn.Linear(dense, 2 * keypoints)

    def forward(self, images: torch.Tensor) -> Output:
        features = self.hidden(self.features(images).flatten(1))
        return Output(self.regressor(features).float().unflatten(1, (self.keypoints, 2)))

    def layers(self) -> dict[str, nn.Module]:
        convolutions = {f"convolution {i}": layer for i, layer in enumerate(self.features, start=1)}
        return {**convolutions, "dense": self.hidden, "points": self.regressor}
