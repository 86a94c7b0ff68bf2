"""A residual trunk (He et al., 2016) with one dense layer that reads coordinates off its last map."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from fkd.models.base import KeypointNetwork, Output
from fkd.models.layers import ResidualBlock, conv_norm_relu, stage_layers, standardise


class ResNet(KeypointNetwork):
    """Plain coordinates from residual blocks; gives no scores.

    The last map is not averaged over its cells, since where something lies is what is asked for.

    Args:
        keypoints: number of points.
        input_size: side of the crop.
        widths: channels at strides 2, 4, 8, ...
        blocks: residual blocks in each stage.
        dropout: share of the last map that is silenced in training.
    """

    def __init__(
        self,
        keypoints: int,
        input_size: int,
        widths: tuple[int, ...] = (32, 48, 96, 128, 192),
        blocks: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(keypoints, input_size)
        self.stem = conv_norm_relu(1, widths[0], stride=2)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(conv_norm_relu(c_in, c_out, stride=2), *(ResidualBlock(c_out) for _ in range(blocks)))
                for c_in, c_out in pairwise(widths)
            )
        )
        side = -(-input_size // 2 ** len(widths))  # each stride of 2 rounds up
        self.dropout = nn.Dropout(dropout)
        self.regressor = nn.Linear(widths[-1] * side**2, 2 * keypoints)

    def forward(self, images: torch.Tensor) -> Output:
        features = self.dropout(self.stages(self.stem(standardise(images))).flatten(1))
        return Output(self.regressor(features).float().unflatten(1, (self.keypoints, 2)))

    def layers(self) -> dict[str, nn.Module]:
        return {"stem": self.stem, **stage_layers(self.stages), "points": self.regressor}
