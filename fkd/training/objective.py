"""What a training makes small: the losses that a configuration asks for, added up."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from fkd.losses import Mean, heatmap_loss, mean_of, point_loss
from fkd.models import Output
from fkd.schema import Schema
from fkd.training.batches import Batch, eye_distances
from fkd.training.config import TrainConfig

_SCORE_SCALE = 0.1  # error, in eye distances, at which the score a point should have has fallen to 1/e


def total_loss(output: Output, batch: Batch, config: TrainConfig, schema: Schema, mean: Mean = mean_of) -> torch.Tensor:
    """Point loss, plus the losses on heatmaps and scores that the configuration asks for."""
    true_norm = batch.points_norm
    loss = point_loss(config.loss, output.points_norm, true_norm, mean)
    if config.heatmap_weight and output.heatmap_logits is not None:
        crossed = heatmap_loss(output.heatmap_logits, true_norm, config.input_size, config.heatmap_sigma, mean)
        loss = loss + config.heatmap_weight * crossed
    if config.score_weight and output.point_logits is not None and output.face_logits is not None:
        loss = loss + config.score_weight * _score_loss(output, batch, eye_distances(true_norm, schema), mean)
    return loss


def _score_loss(output: Output, batch: Batch, eyes: torch.Tensor, mean: Mean) -> torch.Tensor:
    """Of points and faces."""
    assert output.face_logits is not None
    face = F.binary_cross_entropy_with_logits(output.face_logits, batch.is_face.float(), reduction="none")
    return point_score_loss(output, batch, eyes, mean) + mean(face.sum(), torch.ones_like(face).sum())


def point_score_loss(output: Output, batch: Batch, eyes: torch.Tensor, mean: Mean = mean_of) -> torch.Tensor:
    """Scores should tell how near a point is; nothing for points that are covered or on no face.

    Args:
        output: of a network that gives scores.
        batch: n crops.
        eyes: (n,) their eye distances, normalised as their points are.
        mean: what makes a mean of the sum over points and their number.
    """
    assert output.point_logits is not None
    error = (output.points_norm.detach() - batch.points_norm).norm(dim=-1) / eyes[:, None]
    wanted = torch.exp(-error / _SCORE_SCALE).masked_fill(batch.hidden | ~batch.is_face[:, None], 0)
    known = torch.isfinite(wanted)
    point = F.binary_cross_entropy_with_logits(output.point_logits, torch.nan_to_num(wanted), reduction="none")
    return mean((point * known).sum(), known.sum())
