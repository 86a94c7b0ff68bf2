"""Five folds: the errors of every face, predicted by the network that did not see it.

    python -m fkd evaluate --weights ibug68 --folds 5 --retrain     train what is missing, write the file
    python -m fkd evaluate --weights ibug68 --folds 5               figures from results/folds/ibug68.npz

The weights themselves stand for the fold they were trained without; the other four networks are runs
`<name>-fold1` and so on, trained with the same settings. The file holds errors, no pictures and no names.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fkd.data import load_dataset
from fkd.data.dataset import Dataset
from fkd.data.splits import BY_FOLD, FOLDS, fold_of
from fkd.errors import FkdError
from fkd.evaluation.evaluate import predict_dataset, training_config
from fkd.metrics import FaceErrors
from fkd.paths import results_root, runs_root, written_aside
from fkd.schema import Schema, get_schema
from fkd.training.config import TrainConfig
from fkd.training.provenance import fingerprint, versions
from fkd.weights import LoadedModel, load_torch_model

MEASURED = ("rmse_px", "nme", "nme_median", "nme_p90", "fr8", "auc8", "argmax_accuracy")


@dataclass(frozen=True)
class FoldErrors:
    """What one recipe's five networks got wrong.

    Attributes:
        errors: of n faces, in the order of the dataset.
        folds: (n,) uint8: the fold of each face, and so the network that predicted it.
        sources: (n,) uint8: the dataset each face comes from, an index into `about["data"]`.
        about: name, schema, data and its fingerprint, configuration, runs and versions.
    """

    errors: FaceErrors
    folds: np.ndarray
    sources: np.ndarray
    about: dict[str, Any]

    @property
    def schema(self) -> Schema:
        """Which points they are."""
        return get_schema(self.about["schema"])

    def by_fold(self, data: str) -> list[dict[str, Any]]:
        """The metrics of each fold on the faces of one dataset that have every label, as `summarise` gives them."""
        here = (self.sources == self.about["data"].index(data)) & self.errors.complete
        masks = [here & (self.folds == fold) for fold in range(FOLDS)]
        return [self.errors.subset(mask).summary(self.schema) for mask in masks if mask.any()]

    def mean_and_deviation(self, data: str) -> dict[str, tuple[float, float]]:
        """Mean and sample standard deviation over the folds of every metric of `MEASURED`."""
        folds = self.by_fold(data)
        columns = {key: np.array([fold[key] for fold in folds]) for key in MEASURED}
        return {k: (float(c.mean()), float(c.std(ddof=1)) if len(c) > 1 else 0.0) for k, c in columns.items()}


def folds_path(name: str) -> Path:
    """Where the errors of weights are stored."""
    return results_root() / "folds" / f"{name}.npz"


def read_folds(name: str) -> FoldErrors:
    """The stored errors; `FkdError` says which command makes them."""
    path = folds_path(name)
    try:
        with np.load(path, allow_pickle=False) as stored:
            errors = FaceErrors(stored["errors_px"].astype(np.float32), stored["eyes_px"], stored["agrees"])
            return FoldErrors(errors, stored["folds"], stored["sources"], json.loads(str(stored["about"])))
    except FileNotFoundError:
        make = f"python -m fkd evaluate --weights {name} --folds {FOLDS} --retrain"
        raise FkdError(f"The errors of {name} over five folds are not stored; make them with: {make}") from None
    except Exception as error:  # a damaged archive raises many kinds
        raise FkdError(f"{path} is damaged ({error}); take it from the repository again.") from None


def write_folds(found: FoldErrors) -> Path:
    """Write the file, in half precision: an error is then right to a thousandth of itself."""
    path = folds_path(found.about["name"])
    arrays = {
        "errors_px": found.errors.errors_px.astype(np.float16),
        "eyes_px": found.errors.eyes_px.astype(np.float32),
        "agrees": found.errors.largest_agrees,
        "folds": found.folds,
        "sources": found.sources,
        "about": np.array(json.dumps(found.about, sort_keys=True)),
    }
    with written_aside(path) as aside, aside.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return path


def measure_folds(weights: str, device: str = "cpu") -> FoldErrors:
    """Predict every face with the network that did not see it, after training the networks that are missing.

    Args:
        weights: name of shipped weights, or a path to a run's, trained without one fold.
        device: what the others are trained on.

    Raises:
        FkdError: weights that were not trained without a fold, a run of the name with other settings, or a
            training that was stopped; the same command goes on.
    """
    model = load_torch_model(weights)
    config = training_config(model.card)
    if config is None or config.split != BY_FOLD or config.fold < 0:
        raise FkdError(f"{model.card.name} was not trained without a fold of five, so four more folds say nothing.")
    dataset = load_dataset(config.data)
    folds = fold_of(dataset.groups)
    predicted_px = np.full(dataset.points_px.shape, np.nan, np.float32)
    runs = {}
    for fold in np.unique(folds).tolist():
        network = model if fold == config.fold else _network_of_fold(model.card.name, config, fold, device)
        runs[str(fold)] = network.card.training.get("run", network.card.name)
        predicted_px[folds == fold] = predict_dataset(network, dataset.subset(folds == fold))
    names = config.data.split("+")
    about = {
        "name": model.card.name,
        "schema": dataset.schema.name,
        "data": names,
        "data_hash": fingerprint(dataset),
        "config": {key: value for key, value in config.as_dict().items() if key != "fold"},
        "runs": runs,
        "versions": versions(),
    }
    errors = FaceErrors.measure(predicted_px, dataset.points_px, dataset.schema)
    return FoldErrors(errors, folds.astype(np.uint8), _source_indices(dataset, names), about)


def _source_indices(dataset: Dataset, names: list[str]) -> np.ndarray:
    return np.array([names.index(source) for source in dataset.sources], np.uint8)


def _network_of_fold(name: str, config: TrainConfig, fold: int, device: str) -> LoadedModel:
    """The network trained without a fold: a finished run's, or one trained now, from where it was left."""
    from fkd.training.launch import turn, view
    from fkd.training.loop import train

    folder = _run_of_fold(f"{name}-fold{fold}", dataclasses.replace(config, fold=fold))
    if view(folder.name).state != "finished":
        with turn(folder, device):
            train(TrainConfig.from_dict(folder.read_config()), folder, device, resume=True)
    if view(folder.name).state != "finished":
        raise FkdError(f"The training of {folder.name} was stopped; the same command goes on with it.")
    return load_torch_model(folder.weights)


def _run_of_fold(name: str, config: TrainConfig) -> Any:
    from fkd.training.run import RunFolder

    if not (runs_root() / name / "config.json").is_file():
        folder = RunFolder.create(name)
        folder.write_config(config.as_dict())
        return folder
    folder = RunFolder.open(name)
    if TrainConfig.from_dict(folder.read_config()) != config:
        raise FkdError(f"The run {name!r} has other settings than these weights; delete or rename it.")
    return folder
