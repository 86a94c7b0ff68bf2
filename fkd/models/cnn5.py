"""Five convolutions and one fully connected layer: the classic student network for 68 keypoints.

After NaimishNet (Agarwal et al., "Facial key points detection using deep convolutional neural
network", 2017): growing channels, max pooling after each convolution, dropout, plain coordinates.
"""

from __future__ import annotations

import torch
from torch import nn

from fkd.models.base import KeypointNetwork, Output


class Cnn5(KeypointNetwork):
    """Plain coordinates from five convolution layers; gives no scores.

    Args:
        keypoints: number of points.
        input_size: side of the crop, at least 32.
        widths: channels of the five convolutions.
        dropout: share of the flattened features that is silenced in training.
    """

    def __init__(
        self,
        keypoints: int,
        input_size: int,
        widths: tuple[int, ...] = (16, 32, 64, 128, 256),
        dropout: float = 0.3,
    ) -> None:
        super().__init__(keypoints, input_size)
        layers: list[nn.Module] = []
        c_in, side = 1, input_size
        for i, width in enumerate(widths):
            layers += [nn.Conv2d(c_in, width, 5 if i == 0 else 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
            c_in, side = width, side // 2
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.regressor = nn.Linear(c_in * side * side, 2 * keypoints)

    def forward(self, images: torch.Tensor) -> Output:
        features = self.dropout(self.features(images).flatten(1))
        return Output(self.regressor(features).float().unflatten(1, (self.keypoints, 2)))

    def layers(self) -> dict[str, nn.Module]:
        kinds = ("convolution", "ReLU", "pooling")
        features = {f"{kinds[i % 3]} {i // 3 + 1}": layer for i, layer in enumerate(self.features)}
        return {**features, "points": self.regressor}
