"""The faces of a dataset that weights get most wrong, among those that they have not learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fkd.data.dataset import Dataset
from fkd.errors import FkdError
from fkd.evaluation.evaluate import predict_dataset, seen_in_training
from fkd.metrics import face_nme
from fkd.weights import load_model


@dataclass(frozen=True)
class WorstFaces:
    """The worst first.

    Attributes:
        faces: the chosen ones.
        predicted_px: (n, k, 2) in the pixels of their pictures.
        nme: (n,) in percent.
        among: how many faces were predicted.
    """

    faces: Dataset
    predicted_px: np.ndarray
    nme: np.ndarray
    among: int


def find_worst(weights: str, dataset: Dataset, most: int = 12) -> WorstFaces:
    """Predict every face with all labels that the weights were not trained on, reporting progress.

    Raises:
        FkdError: they were trained on all of them, or give other points.
    """
    model = load_model(weights)
    if model.card.schema.name != dataset.schema.name:
        raise FkdError(f"{weights} gives {model.card.schema.name}, but {dataset.name} has {dataset.schema.name}.")
    faces = dataset.subset(dataset.complete & ~seen_in_training(model.card, dataset))
    if not len(faces):
        raise FkdError(f"{dataset.name} has no face with every label that {weights} was not trained on.")
    predicted_px = predict_dataset(model, faces)
    nme = 100 * face_nme(predicted_px, faces.points_px, faces.schema)
    order = np.argsort(-nme, kind="stable")[:most]
    return WorstFaces(faces.subset(order), predicted_px[order], nme[order], len(faces))
