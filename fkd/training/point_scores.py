"""How sure a network is of its points, learnt once more when these are settled.

While points are learnt, faces are changed so much that their scores learn of little else. Afterwards they alone go on
learning, on faces nearly as they come, and rank errors better; no point moves.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import torch
from torch.optim.lr_scheduler import OneCycleLR

from fkd.augment import Augmentation
from fkd.data.dataset import Dataset
from fkd.models import KeypointNetwork
from fkd.models.heatmap import HeatmapNetwork
from fkd.progress import steps
from fkd.training.batches import FaceBatches, eye_distances
from fkd.training.config import TrainConfig
from fkd.training.loop import compute_dtype
from fkd.training.objective import point_score_loss

_CHANGES = Augmentation(
    rotation_deg=8, scale=0.05, shift=0.03, mirror=True, light=0.15, noise=0.02, blur=0.05, cover=0.15
)
_BATCH, _LEARNING_RATE, _WARM_UP = 32, 1.5e-3, 0.1
_CROPS, _MOST_EPOCHS = 60_000, 20


def fit_point_scores(network: KeypointNetwork, config: TrainConfig, faces: Dataset) -> None:
    """Have the scores of points learn alone, in place and reporting progress; minutes for thousands of faces.

    Args:
        network: trained, on the CPU; one that gives no scores stays as it is.
        config: how it was trained.
        faces: those that it learnt from.
    """
    if not isinstance(network, HeatmapNetwork):
        return
    settings = replace(config, batch_size=min(_BATCH, len(faces)), augmentation=_CHANGES, cool_down=0.0)
    device = torch.device("cpu")
    batches, generator = FaceBatches(faces, settings, device), torch.Generator().manual_seed(config.seed)
    dtype = compute_dtype(config.precision, device)
    head = network.score_head
    network.requires_grad_(False).eval()
    head.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(head.parameters(), _LEARNING_RATE, weight_decay=config.weight_decay)
    epochs = min(-(-_CROPS // len(faces)), _MOST_EPOCHS)
    all_steps = epochs * len(batches)
    rate = OneCycleLR(optimizer, _LEARNING_RATE, all_steps, pct_start=_WARM_UP, cycle_momentum=False)
    drawn = chain.from_iterable(batches.epoch(generator) for _ in range(epochs))
    for _, batch in zip(steps("learning how sure to be of each point", range(all_steps)), drawn, strict=False):
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            output = network(*batch.inputs)
        loss = point_score_loss(output, batch, eye_distances(batch.points_norm, faces.schema))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    network.requires_grad_(False).eval()
