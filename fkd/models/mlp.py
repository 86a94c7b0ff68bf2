"""Dense layers on the pixels: the first network of every course, and a measure for the others."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from fkd.models.base import KeypointNetwork, Output


class Mlp(KeypointNetwork):
    """Plain coordinates from dense layers; gives no scores.

    Args:
        keypoints: number of points.
        input_size: side of the crop; 96 makes 9,216 inputs.
        widths: outputs of the hidden layers.
        dropout: share of each hidden layer's outputs that is silenced in training.
    """

    def __init__(
        self, keypoints: int, input_size: int, widths: tuple[int, ...] = (256, 128), dropout: float = 0.1
    ) -> None:
        super().__init__(keypoints, input_size)
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(c_in, c_out), nn.ReLU(), nn.Dropout(dropout))
                for c_in, c_out in pairwise((input_size**2, *widths))
            )
        )
        self.regressor = nn.Linear(widths[-1], 2 * keypoints)

    def forward(self, images: torch.Tensor) -> Output:
        centred = images.flatten(1) - 0.5  # all-positive inputs would move every unit the same way
        return Output(self.regressor(self.hidden(centred)).float().unflatten(1, (self.keypoints, 2)))

    def layers(self) -> dict[str, nn.Module]:
        return {**{f"dense {i}": layer for i, layer in enumerate(self.hidden, start=1)}, "points": self.regressor}
