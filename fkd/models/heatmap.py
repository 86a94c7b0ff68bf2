"""A residual network with a top-down path, one heatmap per keypoint, and scores.

Residual trunk (He et al., 2016), top-down path (Lin et al., 2017), heatmaps decoded by their
expectation (Sun et al., "Integral human pose regression", 2018). Small heads beside them say how sure
the network is of each point and of there being a face.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from fkd.models.base import KeypointNetwork, Output
from fkd.models.layers import ResidualBlock, conv_norm_relu, stage_layers, standardise

HEATMAP_STRIDE = 4


class HeatmapNetwork(KeypointNetwork):
    """Heatmaps at a quarter of the input's resolution.

    Args:
        keypoints: number of points.
        input_size: side of the crop, a multiple of 32.
        widths: channels at strides 2, 4, 8, 16 and 32.
        blocks: residual blocks in each stage.
        fused: channels of the top-down path.
        styles: names of the datasets whose ways to place points are told apart. Every stage is modulated by the
            style (FiLM; Perez et al., 2018) and each style has heatmaps of its own. The first one is taken
            where none is asked for.
    """

    gives_scores = True

    def __init__(
        self,
        keypoints: int,
        input_size: int,
        widths: tuple[int, ...] = (32, 48, 96, 192, 256),
        blocks: int = 1,
        fused: int = 96,
        styles: tuple[str, ...] = (),
    ) -> None:
        super().__init__(keypoints, input_size)
        self.styles = tuple(styles)
        self.stem = conv_norm_relu(1, widths[0], stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(conv_norm_relu(c_in, c_out, stride=2), *(ResidualBlock(c_out) for _ in range(blocks)))
            for c_in, c_out in pairwise(widths)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, fused, 1) for width in widths[1:])
        self.merges = nn.ModuleList(conv_norm_relu(fused, fused) for _ in widths[2:])
        self.heatmap_head = nn.Conv2d(fused, keypoints * max(len(self.styles), 1), 1)
        self.score_head = PointScores(keypoints, fused)
        self.face_head = nn.Linear(widths[-1], 1)
        modulated = [*widths[1:], *(fused for _ in self.merges)] if self.styles else []
        self.modulations = nn.ModuleList(Modulation(width, len(self.styles)) for width in modulated)

    def forward(self, images: torch.Tensor, styles: torch.Tensor | None = None) -> Output:
        modulations = iter(self.modulations)
        x = self.stem(standardise(images))
        features = []
        for stage in self.stages:
            x = _modulated(stage(x), styles, modulations)
            features.append(x)
        fused = self.laterals[-1](features[-1])
        for lateral, feature, merge in zip(list(self.laterals)[-2::-1], features[-2::-1], self.merges, strict=True):
            enlarged = F.interpolate(fused, scale_factor=2.0, mode="bilinear", align_corners=False)
            fused = _modulated(merge(enlarged + lateral(feature)), styles, modulations)
        heatmap_logits = self._of_style(self.heatmap_head(fused), styles).float()
        points_norm, probabilities = expectation(heatmap_logits, self.input_size)
        # Scores are read where the heatmaps lie, and do not move these themselves.
        point_logits = self.score_head(fused.float(), heatmap_logits.detach(), probabilities.detach()).float()
        face_logits = self.face_head(features[-1].mean(dim=(2, 3))).float().squeeze(1)
        return Output(points_norm, point_logits, face_logits, heatmap_logits)

    def _of_style(self, heatmaps: torch.Tensor, styles: torch.Tensor | None) -> torch.Tensor:
        """(n, k, h, w): those of each row's style."""
        if styles is None:
            return heatmaps[:, : self.keypoints]
        return heatmaps.unflatten(1, (len(self.styles), self.keypoints))[torch.arange(len(styles)), styles]

    def layers(self) -> dict[str, nn.Module]:
        found: dict[str, nn.Module] = {"stem": self.stem, **stage_layers(self.stages)}
        strides = [HEATMAP_STRIDE << i for i in range(len(self.laterals))]
        found |= {f"lateral, stride {stride}": part for stride, part in zip(strides, self.laterals, strict=True)}
        found |= {f"merge, stride {s}": part for s, part in zip(strides[-2::-1], self.merges, strict=True)}
        scores = {"point scores": self.score_head, "face score": self.face_head}
        return found | {"heatmaps": self.heatmap_head, **scores}


class PointScores(nn.Module):
    """How sure the network is of each point: by what it sees there, and how far the heatmap spreads.

    Each point also hears of the mean over all of them, since a face that is hard to see is so as a whole.

    Args:
        keypoints: number of points.
        channels: of the features that the heatmaps are made from.
        hidden: channels between.
    """

    def __init__(self, keypoints: int, channels: int, hidden: int = 64) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels + 3)
        self.own = nn.Conv2d(channels + 3, hidden, 1)
        self.others = nn.Conv2d(hidden, hidden, 1, bias=False)
        self.point = nn.Parameter(torch.zeros(hidden, keypoints, 1))
        self.answer = nn.Parameter(torch.randn(hidden, keypoints, 1) * hidden**-0.5)
        self.bias = nn.Parameter(torch.zeros(keypoints))

    def forward(
        self, features: torch.Tensor, heatmap_logits: torch.Tensor, probabilities: torch.Tensor
    ) -> torch.Tensor:
        """(n, k) logits, of features (n, c, h, w), heatmaps (n, k, h, w) and their softmax."""
        seen = probabilities.flatten(2) @ features.flatten(2).transpose(1, 2)
        known = torch.cat([seen, spread(heatmap_logits, probabilities)], dim=2).transpose(1, 2)
        own = self.own(self.norm(known[..., None])) + self.point
        told = self.others(own.relu().mean(dim=2, keepdim=True))
        return ((own + told).relu() * self.answer).sum(dim=(1, 3)) + self.bias


def spread(heatmap_logits: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """(n, k, 3): of each heatmap (n, k, h, w) its entropy, and the logarithms of its variances in x and y.

    Variances are in squares of half of the heatmap's side.
    """
    # Without a logarithm for every cell.
    entropy = heatmap_logits.flatten(2).logsumexp(dim=-1) - (probabilities * heatmap_logits).sum(dim=(2, 3))
    told = [entropy]
    for shares in (probabilities.sum(dim=2), probabilities.sum(dim=3)):
        cells = torch.linspace(-1, 1, shares.shape[2]).to(shares)
        variance = (shares * cells.square()).sum(dim=2) - (shares * cells).sum(dim=2).square()
        told.append((variance.clamp_min(0) + 1e-4).log())
    return torch.stack(told, dim=2)


class Modulation(nn.Module):
    """A gain and a shift for each channel, by style; none to begin with."""

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.change = nn.Embedding(styles, 2 * channels)
        nn.init.zeros_(self.change.weight)

    def forward(self, x: torch.Tensor, styles: torch.Tensor | None) -> torch.Tensor:
        """(n, c, h, w), and (n,) indices of styles; the first for all without."""
        changes = self.change.weight[:1] if styles is None else self.change(styles)
        gain, shift = changes[:, :, None, None].to(x.dtype).chunk(2, dim=1)
        return x * (1 + gain) + shift


def _modulated(x: torch.Tensor, styles: torch.Tensor | None, modulations: Iterator[nn.Module]) -> torch.Tensor:
    """By the next modulation, where the network has any."""
    modulation = next(modulations, None)
    return x if modulation is None else modulation(x, styles)


def expectation(heatmap_logits: torch.Tensor, input_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode heatmaps by the mean position under their softmax.

    Args:
        heatmap_logits: (n, k, h, w).
        input_size: side of the crop whose normalised coordinates are returned.

    Returns:
        points_norm (n, k, 2) and the probabilities (n, k, h, w).
    """
    probabilities = heatmap_logits.flatten(2).softmax(dim=-1).view_as(heatmap_logits)
    cells_x = cell_centres_norm(heatmap_logits.shape[3], input_size).to(heatmap_logits)
    cells_y = cell_centres_norm(heatmap_logits.shape[2], input_size).to(heatmap_logits)
    x = (probabilities.sum(dim=2) * cells_x).sum(dim=-1)
    y = (probabilities.sum(dim=3) * cells_y).sum(dim=-1)
    return torch.stack([x, y], dim=-1), probabilities


def cell_centres_norm(cells: int, input_size: int) -> torch.Tensor:
    """(cells,) normalised crop coordinates of the centres of heatmap cells."""
    centres_px = (torch.arange(cells) + 0.5) * (input_size / cells) - 0.5
    return centres_px * (2 / (input_size - 1)) - 1
