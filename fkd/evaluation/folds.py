"""Five folds: the errors of every face, predicted by the network that did not see it.

    python -m fkd evaluate --weights ibug68 --folds 5 --retrain     train what is missing, write the file
    python -m fkd evaluate --weights ibug68 --folds 5               figures from results/folds/ibug68.npz

The weights themselves stand for the fold they were trained without; the other four networks are runs
`<name>-fold1` and so on, trained with the same settings. The file holds errors, no pictures and no names.
It is written after each fold, so that an unfinished one can be gone on with elsewhere, without the runs.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
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
from fkd.weights import LoadedModel, find_weights, load_torch_model, points_digest, read_card

MEASURED = ("rmse_px", "nme", "nme_median", "nme_p90", "fr8", "auc8", "argmax_accuracy")


@dataclass(frozen=True)
class FoldErrors:
    """What one recipe's five networks got wrong.

    Attributes:
        errors: of n faces, in the order of the dataset.
        folds: (n,) uint8: the fold of each face, and so the network that predicted it.
        sources: (n,) uint8: the dataset each face comes from, an index into `about["data"]`.
        about: name, schema, data and its fingerprint, digest of what in the weights decides points, configuration,
            runs by fold and versions.

    Faces of a fold that has no run yet have no errors.
    """

    errors: FaceErrors
    folds: np.ndarray
    sources: np.ndarray
    about: dict[str, Any]

    @property
    def schema(self) -> Schema:
        """Which points they are."""
        return get_schema(self.about["schema"])

    @property
    def missing(self) -> list[int]:
        """Folds that have not been measured yet."""
        return [fold for fold in np.unique(self.folds).tolist() if str(fold) not in self.about["runs"]]

    def with_fold(self, fold: int, run: str, errors: FaceErrors) -> FoldErrors:
        """With the errors of the faces of one fold, which a run has made."""
        here = self.folds == fold
        parts = {name: part.copy() for name, part in vars(self.errors).items()}
        for name, part in parts.items():
            part[here] = getattr(errors, name)
        runs = {**self.about["runs"], str(fold): run}
        return dataclasses.replace(self, errors=FaceErrors(**parts), about={**self.about, "runs": runs})

    def by_fold(self, data: str) -> list[dict[str, Any]]:
        """The metrics of each fold on the faces of one dataset that have every label, as `summarise` gives them."""
        here = (self.sources == self.about["data"].index(data)) & self.errors.complete
        masks = [here & (self.folds == fold) for fold in range(FOLDS)]
        return [self.errors.subset(mask).summary(self.schema) for mask in masks if mask.any()]

    def mean_and_deviation(self, data: str) -> dict[str, tuple[float, float]]:
        """Mean and sample standard deviation over the folds of every metric of `MEASURED`."""
        folds = self.by_fold(data)
        return {key: mean_and_deviation([fold[key] for fold in folds]) for key in MEASURED}


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation, which is 0 of a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def folds_path(name: str) -> Path:
    """Where the errors of weights are stored."""
    return results_root() / "folds" / f"{name}.npz"


def folds_of(name_or_path: str | Path) -> FoldErrors:
    """The stored errors of weights, or of a run by its name where no weights are called so.

    Raises:
        FkdError: there are none; it says which command makes them.
    """
    found = _of_no_weights(name_or_path) or find_folds(name_or_path)
    if found is None:
        make = f"python -m fkd evaluate --weights {shlex.quote(str(name_or_path))} --folds {FOLDS} --retrain"
        raise FkdError(f"The errors of {name_or_path} over five folds are not stored; make them with: {make}")
    return found


def folds_data(name_or_path: str | Path) -> list[str]:
    """The datasets that the folds of weights are of, measured or not; `FkdError` where neither is here."""
    found = _of_no_weights(name_or_path)
    return found.about["data"] if found else read_card(name_or_path).trained_on


def _of_no_weights(name_or_path: str | Path) -> FoldErrors | None:
    """The stored errors of networks that are not shipped; None where there are weights of the name."""
    try:
        find_weights(name_or_path)
    except FkdError:
        if (found := read_folds(str(name_or_path))) is None:
            raise
        return found
    return None


def find_folds(name_or_path: str | Path) -> FoldErrors | None:
    """The stored errors of weights; None where there are none of several folds, or of other weights or settings."""
    card = read_card(name_or_path)
    found = read_folds(card.name)
    if found is None or len(found.about["runs"]) < 2:
        return None
    config = {key: value for key, value in card.training.get("config", {}).items() if key != "fold"}
    same_settings = {key: value for key, value in found.about["config"].items() if key in config} == config
    same_network = found.about.get("network") == points_digest(find_weights(name_or_path))
    return found if same_settings and same_network else None


def read_folds(name: str) -> FoldErrors | None:
    """The errors stored under a name; None where there are none, `FkdError` for a damaged file."""
    path = folds_path(name)
    try:
        with np.load(path, allow_pickle=False) as stored:
            errors = FaceErrors(stored["errors_px"].astype(np.float32), stored["eyes_px"], stored["agrees"])
            return FoldErrors(errors, stored["folds"], stored["sources"], json.loads(str(stored["about"])))
    except FileNotFoundError:
        return None
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

    What is stored is replaced after each fold, but a whole file only by a whole one. An unfinished file of the same
    settings and faces is gone on with.

    Args:
        weights: as `--weights` names them, trained without one fold.
        device: what the others are trained on.

    Raises:
        FkdError: a device that is not there, weights that were not trained without a fold, a run of the name with
            other settings, or a training that was stopped; the same command goes on.
    """
    device = _one_device(device)
    model = load_torch_model(weights)
    config = training_config(model.card)
    if config is None or config.split != BY_FOLD or config.fold < 0:
        raise FkdError(f"{model.card.name} was not trained without a fold of five, so four more folds say nothing.")
    dataset = load_dataset(config.data)
    stored, found = read_folds(model.card.name), _nothing_measured(weights, config, dataset)
    if stored is not None and stored.missing and _are_alike(stored, found):
        found = stored
    others = {
        fold: (f"{model.card.name}-fold{fold}", dataclasses.replace(config, fold=fold))
        for fold in np.unique(found.folds).tolist()
        if fold != config.fold
    }
    for name, other in others.values():  # all of them before the first is trained
        _check_run(name, other)
    for fold in np.unique(found.folds).tolist():
        if fold in others and fold not in found.missing and not _is_finished(others[fold][0]):
            continue
        network = _trained(*others[fold], device) if fold in others else model
        faces = dataset.subset(found.folds == fold)
        errors = FaceErrors.measure(predict_dataset(network, faces), faces.points_px, faces.schema)
        found = found.with_fold(fold, network.card.training.get("run", network.card.name), errors)
        if stored is None or stored.missing or not found.missing:
            write_folds(found)
    return found


def _nothing_measured(weights: str, config: TrainConfig, dataset: Dataset) -> FoldErrors:
    n, k = dataset.points_px.shape[:2]
    data = config.data.split("+")
    about = {
        "name": read_card(weights).name,
        "network": points_digest(find_weights(weights)),
        "schema": dataset.schema.name,
        "data": data,
        "data_hash": fingerprint(dataset),
        "config": {key: value for key, value in config.as_dict().items() if key != "fold"},
        "runs": {},
        "versions": versions(),
    }
    errors = FaceErrors(np.full((n, k), np.nan, np.float32), np.full(n, np.nan, np.float32), np.zeros(n, bool))
    sources = np.array([data.index(source) for source in dataset.sources], np.uint8)
    return FoldErrors(errors, fold_of(dataset.groups).astype(np.uint8), sources, about)


def _are_alike(one: FoldErrors, other: FoldErrors) -> bool:
    """Whether both are of the same weights, settings and faces."""
    return all(one.about.get(key) == other.about[key] for key in ("network", "config", "data_hash"))


def _one_device(text: str) -> str:
    """A device as runs call it; `FkdError` for one that is not there, and for several."""
    from fkd.training.torchrun import resolve_devices

    devices = resolve_devices(text)
    if len(devices) > 1:
        raise FkdError(f"The folds train on one device, not on {text}; name one.")
    return devices[0]


def _check_run(name: str, config: TrainConfig) -> None:
    """`FkdError` where a run of this name has other settings."""
    from fkd.training.run import RunFolder

    if _exists(name) and TrainConfig.from_dict(RunFolder.open(name).read_config()) != config:
        raise FkdError(f"The run {name!r} has other settings than these weights; delete or rename it.")


def _exists(name: str) -> bool:
    return (runs_root() / name / "config.json").is_file()


def _is_finished(name: str) -> bool:
    from fkd.training.launch import view

    return _exists(name) and view(name).state == "finished"


def _trained(name: str, config: TrainConfig, device: str) -> LoadedModel:
    """The network of a run: a finished one's, or trained now, from where it was left."""
    from fkd.training.begin import new_run
    from fkd.training.launch import turn, view
    from fkd.training.loop import train
    from fkd.training.run import RunFolder

    folder = RunFolder.open(name) if _exists(name) else new_run(name, config)
    if view(name).state != "finished":
        with turn(folder, device):
            train(config, folder, device, resume=True)
    if view(name).state != "finished":
        raise FkdError(f"The training of {name} was stopped; the same command goes on with it.")
    return load_torch_model(folder.weights)
