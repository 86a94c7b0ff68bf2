"""Measuring a network on the faces that training only watches, with flip averaging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fkd.crop import transform
from fkd.data.dataset import Dataset
from fkd.errors import FkdError
from fkd.metrics import eye_distances_px, face_nme, point_errors_px, rmse_px
from fkd.models import KeypointNetwork, Output, norm_to_px
from fkd.runtime import Answer, flip_averaged
from fkd.training.batches import Batch, FaceBatches
from fkd.training.config import TrainConfig
from fkd.training.group import Group
from fkd.training.objective import total_loss
from fkd.training.samples import SHOWN, Samples

_BATCH = 256


@dataclass(frozen=True)
class Measured:
    """What a network made of n validation faces.

    Attributes:
        loss: the configuration's own loss, without augmentation.
        crop_px: (n, k, 2) float32 predicted points in crop pixels.
        face_nme: (n,) in percent of the eye distance; NaN without eye corners.
        keypoint_nme: (k,) likewise, over all faces.
        rmse_px: in pixels of the dataset's pictures.
    """

    loss: float
    crop_px: np.ndarray
    face_nme: np.ndarray
    keypoint_nme: np.ndarray
    rmse_px: float

    def figures(self) -> dict[str, float]:
        """What a line of metrics.jsonl has of it."""
        nme = float(np.nanmean(self.face_nme))
        return {"validation_loss": self.loss, "validation_nme": nme, "validation_rmse_px": self.rmse_px}


class Validation:
    """Faces that training only watches; each process of a group predicts its share of them."""

    def __init__(self, faces: Dataset, config: TrainConfig, device: torch.device, group: Group | None = None) -> None:
        if not len(faces):
            raise FkdError("No faces are left to validate on; raise validation_share or use a larger dataset.")
        if not np.isfinite(eye_distances_px(faces.points_px, faces.schema)).any():
            raise FkdError(
                "None of the validation faces has both outer eye corners, which errors are measured by; "
                "raise validation_share or use data with these points."
            )
        self.faces, self.config, self.group = faces, config, group or Group()
        if len(faces) < self.group.size:
            raise FkdError(f"{self.group.size} processes cannot share {len(faces)} validation faces; take fewer.")
        self.batches = FaceBatches(faces, config, device)

    def measure(self, network: KeypointNetwork) -> Measured:
        """Predict every face and compare with its true points; `FkdError` where the network has gone to pieces."""
        loss, crop_px = self._predict(network)
        if not np.isfinite(crop_px).all():  # which the loss of the last step, taken before it, does not show
            raise FkdError("The network predicts no numbers any more; try a lower learning rate or precision=fp32.")
        true_px, schema = self.faces.points_px, self.faces.schema
        predicted_px = transform(crop_px, self.batches.maps.cpu().numpy()).astype(np.float32)
        errors = point_errors_px(predicted_px, true_px) / eye_distances_px(true_px, schema)[:, None]
        known = np.isfinite(errors)
        sums, counts = np.where(known, errors, 0).sum(axis=0), known.sum(axis=0)
        per_keypoint = 100 * np.divide(sums, counts, where=counts > 0, out=np.full(len(schema), np.nan))
        per_face = 100 * face_nme(predicted_px, true_px, schema)
        return Measured(loss, crop_px, per_face, per_keypoint, rmse_px(predicted_px, true_px))

    @torch.inference_mode()
    def _predict(self, network: KeypointNetwork) -> tuple[float, np.ndarray]:
        """Mean loss, and (n, k, 2) points in crop pixels."""
        was_training = network.training
        network.eval()
        schema, size = self.faces.schema, self.config.input_size
        crop_px = torch.zeros(len(self.faces), len(schema), 2)
        loss = torch.zeros(())
        for rows in np.array_split(np.arange(len(self.faces)), -(-len(self.faces) // _BATCH)):
            self.group.check()
            mine = rows[self.group.rows(len(rows))]
            batch = self.batches.unchanged(mine)
            images, *styles = batch.inputs
            output = network(torch.cat([images, images.flip(3)]), *(style.repeat(2) for style in styles))
            answer = Answer(norm_to_px(output.points_norm, size).float().cpu().numpy())
            crop_px[mine] = torch.from_numpy(flip_averaged(answer, schema, size).points_px)
            direct = Output(*(None if part is None else part[: len(batch)] for part in output))  # type: ignore[arg-type]
            loss += total_loss(direct, batch, self.config, schema, self.group.mean).cpu() * len(rows)
        network.train(was_training)
        return float(self.group.sum(loss)) / self.group.size / len(self.faces), self.group.sum(crop_px).numpy()

    def write_samples(self, samples: Samples, epoch: int, measured: Measured) -> None:
        """Keep what was predicted for the faces that are shown, and the worst."""
        shown = different_faces(self.faces.groups, SHOWN)
        if samples.faces() is None:
            batch = self.batches.unchanged(shown)
            samples.write_faces(self._images_u8(batch), self._true_px(batch))
        samples.write_epoch(epoch, measured.crop_px[shown], measured.keypoint_nme)
        worst = np.argsort(-np.nan_to_num(measured.face_nme, nan=-1), kind="stable")[:SHOWN]
        batch = self.batches.unchanged(worst)
        samples.write_worst(
            self._images_u8(batch), measured.crop_px[worst], self._true_px(batch), measured.face_nme[worst]
        )

    def _images_u8(self, batch: Batch) -> np.ndarray:
        return (batch.images[:, 0] * 255).round().clamp(0, 255).byte().cpu().numpy()

    def _true_px(self, batch: Batch) -> np.ndarray:
        return norm_to_px(batch.points_norm, self.config.input_size).cpu().numpy()


def different_faces(groups: np.ndarray, count: int) -> np.ndarray:
    """Ascending rows of `count` faces far apart in a dataset, of different groups where there are enough of these.

    Args:
        groups: (n,) person or cluster of near-duplicates of each face.
        count: how many are wanted; all where there are no more.
    """
    _, first = np.unique(groups, return_index=True)
    rows = np.sort(first) if len(first) >= count else np.arange(len(groups))
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))]
