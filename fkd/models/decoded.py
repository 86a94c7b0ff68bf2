"""A network with its decoding: what torch predicts with and what is exported, so that both mean the same."""

from __future__ import annotations

import torch
from torch import nn

from fkd.models.base import KeypointNetwork, norm_to_px


class Decoded(nn.Module):
    """Crops as they are cut in, points in their pixels and scores out."""

    def __init__(self, network: KeypointNetwork, style: str = "") -> None:
        super().__init__()
        self.network = network
        self.style = network.styles.index(style) if style else None

    def forward(self, crops_gray_u8: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(n, 1, s, s) uint8 to points_px (n, k, 2) and, if the network gives scores, (n, k) and (n,) from 0 to 1."""
        images = crops_gray_u8.float() / 255
        output = self.network(images) if self.style is None else self.network(images, self._styles(len(images)))
        points_px = norm_to_px(output.points_norm, self.network.input_size)
        if output.point_logits is None or output.face_logits is None:
            return (points_px,)
        return points_px, output.point_logits.sigmoid(), output.face_logits.sigmoid()

    def _styles(self, n: int) -> torch.Tensor:
        device = next(self.network.parameters()).device
        return torch.full((n,), self.style or 0, dtype=torch.long, device=device)
