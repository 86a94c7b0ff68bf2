"""Losses on points and heatmaps; a missing point is NaN in the truth and counts nothing.

Each point loss maps errors in shares of the crop to a value per coordinate:
Wing is from Feng et al., 2018; `log` is its curved part alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from fkd.errors import FkdError
from fkd.models.heatmap import cell_centres_norm

_WING_WIDTH, _WING_CURVATURE = 0.08, 0.01
_LOG_SCALE = 0.01


def _wing(error: torch.Tensor) -> torch.Tensor:
    absolute = error.abs()
    width, curvature = torch.tensor(_WING_WIDTH), torch.tensor(_WING_CURVATURE)
    gap = width - width * torch.log1p(width / curvature)
    return torch.where(absolute < width, width * torch.log1p(absolute / curvature), absolute - gap)


POINT_LOSSES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mse": torch.square,
    "l1": torch.abs,
    "wing": _wing,
    "log": lambda error: torch.log1p(error.abs() / _LOG_SCALE),
}


Mean = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def mean_of(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """A sum by its number; 0 where there is none. Processes that train together divide by the number of all."""
    return total / count.clamp_min(1)


def point_loss(name: str, predicted_norm: torch.Tensor, true_norm: torch.Tensor, mean: Mean = mean_of) -> torch.Tensor:
    """Mean loss over the labelled coordinates of (n, k, 2) points; 0 where there are none."""
    if name not in POINT_LOSSES:
        raise FkdError(f"Unknown loss {name!r}; known are {', '.join(POINT_LOSSES)}.")
    known = torch.isfinite(true_norm)
    error = torch.where(known, predicted_norm - torch.nan_to_num(true_norm), 0.0)
    return mean((POINT_LOSSES[name](error) * known).sum(), known.sum())


def heatmap_loss(
    logits: torch.Tensor, true_norm: torch.Tensor, input_size: int, sigma_cells: float, mean: Mean = mean_of
) -> torch.Tensor:
    """Cross-entropy between each heatmap's softmax and a Gaussian round the true point.

    Args:
        logits: (n, k, h, w).
        true_norm: (n, k, 2); points that are missing or outside the crop count nothing.
        input_size: side of the crop in pixels.
        sigma_cells: deviation of the Gaussian in heatmap cells.
        mean: what makes a mean of the sum over points and their number.
    """
    n, k, height, width = logits.shape
    known = (true_norm.abs() <= 1).all(dim=-1)  # False for NaN as well
    target = torch.nan_to_num(true_norm)
    sigma = sigma_cells * 2 / width
    gauss_x = _gaussian(cell_centres_norm(width, input_size).to(logits), target[..., 0:1], sigma)
    gauss_y = _gaussian(cell_centres_norm(height, input_size).to(logits), target[..., 1:2], sigma)
    log_probability = logits.flatten(2).log_softmax(dim=-1).view(n, k, height, width)
    crossed = -torch.einsum("nky,nkyx,nkx->nk", gauss_y, log_probability, gauss_x)
    return mean((crossed * known).sum(), known.sum())


def _gaussian(cells: torch.Tensor, centre: torch.Tensor, sigma: float) -> torch.Tensor:
    weights = torch.exp(-0.5 * ((cells - centre) / sigma).square())
    return weights / weights.sum(dim=-1, keepdim=True).clamp_min(1e-9)
