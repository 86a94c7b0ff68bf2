"""Training batches made on the device: the dataset lies there as uint8, no sample is touched by Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from fkd.augment import Augmentation, change_light, compose, cover, draw_maps, warp_images, warp_points
from fkd.crop import CropFrame, tight_boxes_from_points
from fkd.data.dataset import Dataset
from fkd.data.label_offsets import label_offsets_px
from fkd.models import px_to_norm
from fkd.schema import Schema
from fkd.training.config import TrainConfig


@dataclass(frozen=True)
class Batch:
    """n crops as a network gets them.

    Attributes:
        images: (n, 1, s, s) float in [0, 1].
        points_norm: (n, k, 2); NaN where a label is missing, and in every row that shows no face.
        hidden: (n, k) bool: points under a pasted box.
        is_face: (n,) bool: false for crops cut beside the face.
        styles: (n,) int64 indices for a network that tells labelling styles apart; None for others.
    """

    images: torch.Tensor
    points_norm: torch.Tensor
    hidden: torch.Tensor
    is_face: torch.Tensor
    styles: torch.Tensor | None = None

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """What the network is called with."""
        return (self.images,) if self.styles is None else (self.images, self.styles)

    def __len__(self) -> int:
        return len(self.images)

    def part(self, rows: slice) -> Batch:
        """Some rows of it."""
        styles = None if self.styles is None else self.styles[rows]
        return Batch(self.images[rows], self.points_norm[rows], self.hidden[rows], self.is_face[rows], styles)


def input_maps(dataset: Dataset, frame: CropFrame | None, size: int) -> np.ndarray:
    """(n, 2, 3) maps from a network's crop to the dataset's pictures; without a frame the whole picture."""
    if frame is not None:
        return frame.matrices(tight_boxes_from_points(dataset.points_px, dataset.schema), size)
    height, width = dataset.images_u8.shape[1:]
    step = max(height, width) / size
    offset = np.array([width - 1, height - 1]) / 2 - step * (size - 1) / 2
    return np.tile(np.array([[step, 0, offset[0]], [0, step, offset[1]]]), (len(dataset), 1, 1))


class FaceBatches:
    """Batches of one dataset under one configuration.

    Args:
        dataset: faces; their pictures are held on `device` as uint8.
        config: crop, input size, batch size and augmentation.
        device: where batches are made.
    """

    def __init__(self, dataset: Dataset, config: TrainConfig, device: torch.device) -> None:
        self.config, self.schema, self.device = config, dataset.schema, device
        self.images_u8 = torch.from_numpy(dataset.images_u8).to(device)
        self.points_px = torch.from_numpy(dataset.points_px).to(device)
        self.label_offsets_px = torch.from_numpy(label_offsets_px(dataset)).to(device)
        self.partners = torch.as_tensor(dataset.schema.mirror_partners, device=device)
        self.styles = _style_indices(dataset, config).to(device)
        frame = None if config.whole_picture else config.crop
        self.maps = torch.from_numpy(input_maps(dataset, frame, config.input_size)).float().to(device)

    def __len__(self) -> int:
        """Batches in an epoch; the last, smaller one is left out where there are others."""
        return max(len(self.images_u8) // self.config.batch_size, 1)

    def epoch(self, generator: torch.Generator, epoch: int = 0) -> Iterator[Batch]:
        """One shuffled pass, augmented as in that epoch of the training."""
        augmentation = self.config.augmentation_of(epoch)
        order = torch.randperm(len(self.images_u8), generator=generator, device=self.device)
        for i in range(len(self)):
            rows = order[i * self.config.batch_size : (i + 1) * self.config.batch_size]
            yield self._augmented(rows, generator, augmentation)

    def unchanged(self, which: np.ndarray) -> Batch:
        """The faces of some rows as they are."""
        rows = torch.from_numpy(which).to(self.device)
        still = torch.zeros(len(rows), dtype=torch.bool, device=self.device)
        points = warp_points(self.points_px[rows], self.maps[rows], still, self.partners)
        hidden = torch.zeros(points.shape[:2], dtype=torch.bool, device=self.device)
        images = self._cut(rows, self.maps[rows])
        return Batch(images, px_to_norm(points, self.config.input_size), hidden, ~still, self._styles(rows))

    def _augmented(self, rows: torch.Tensor, generator: torch.Generator, augmentation: Augmentation) -> Batch:
        size = self.config.input_size
        changes, mirrored = draw_maps(len(rows), size, augmentation, generator)
        beside = int(len(rows) * self.config.negatives)  # rows are shuffled, so the first ones will do
        if beside:
            changes = torch.cat([_maps_beside_face(beside, size, generator), changes[beside:]])
        is_face = torch.arange(len(rows), device=self.device) >= beside
        maps = compose(self.maps[rows], changes)
        points = warp_points(self._labels(rows, mirrored), maps, mirrored, self.partners)
        points = torch.where(is_face[:, None, None], points, torch.nan)
        images = change_light(self._cut(rows, maps), augmentation, generator)
        images, hidden = cover(images, points, augmentation, generator)
        return Batch(images, px_to_norm(points, size), hidden, is_face, self._styles(rows))

    def _styles(self, rows: torch.Tensor) -> torch.Tensor | None:
        return self.styles[rows] if len(self.styles) else None

    def _labels(self, rows: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
        """Points of the rows; where they will be mirrored, moved so that their offset stays on its side."""
        moves = torch.zeros(len(rows), 1, 2, device=self.device)
        moves[:, 0, 0] = torch.where(mirrored, -2 * self.label_offsets_px[rows], 0.0)
        return self.points_px[rows] + moves

    def _cut(self, rows: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        return warp_images(self.images_u8[rows][:, None].float() / 255, maps, self.config.input_size)


def _style_indices(dataset: Dataset, config: TrainConfig) -> torch.Tensor:
    """(n,) int64; empty for a network without styles, and the first style for a source that has none."""
    styles = list(config.model_args.get("styles", ()))
    return torch.tensor([styles.index(s) if s in styles else 0 for s in dataset.sources if styles], dtype=torch.long)


def _maps_beside_face(n: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Maps to crops that hold less than a third of a face: a part of it close up, or what is beside it."""
    device = generator.device
    draw = torch.rand(n, 4, generator=generator, device=device)
    close_up = draw[:, 0] < 0.4
    factor = torch.where(close_up, 0.2 + 0.2 * draw[:, 1], 0.5 + 0.6 * draw[:, 1])
    distance = torch.where(close_up, 0.4 * draw[:, 2], 0.4 + 0.35 * factor + 0.2 * draw[:, 2]) * size
    angle = 2 * torch.pi * draw[:, 3]
    middle = (size - 1) / 2
    linear = torch.eye(2, device=device) * factor[:, None, None]
    centre = middle + distance[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)
    return torch.cat([linear, (centre - factor[:, None] * middle)[..., None]], dim=-1)


def eye_distances(points_norm: torch.Tensor, schema: Schema) -> torch.Tensor:
    """(n,) distances of the outer eye corners; a usual one where a corner is not labelled."""
    first, second = schema.normalising_pair
    return (points_norm[:, first] - points_norm[:, second]).norm(dim=-1).nan_to_num(nan=0.9)
