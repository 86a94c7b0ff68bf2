"""A run's best weights made shipped weights: scores learnt to the end, measured on held-out faces, and with a card."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fkd.data import load_dataset
from fkd.data.splits import BY_FOLD
from fkd.errors import FkdError, listed
from fkd.evaluation.cards import write_card
from fkd.evaluation.evaluate import evaluate, mean_shape_summary
from fkd.export import export_onnx
from fkd.paths import weights_root, written_aside
from fkd.progress import report
from fkd.training.config import TrainConfig
from fkd.training.faces import load_faces
from fkd.training.point_scores import fit_point_scores
from fkd.training.run import RunFolder
from fkd.weights import RUN_PREFIX, Card, list_weights, load_torch_model, save_weights

if TYPE_CHECKING:
    from fkd.models.base import KeypointNetwork


def check_name(name: str, replace: bool) -> None:
    """`FkdError` where weights cannot be called `name`, or are already and shall not be replaced."""
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise FkdError(f"{name!r} cannot name weights; use letters, digits, '-' and '_'.")
    if name in list_weights() and not replace:
        raise FkdError(f"There are weights {name!r} already; choose another name, or replace them.")


def promote(run: str, name: str, replace: bool = False) -> dict[str, Any]:
    """Measure a run's weights and put them into `weights/`, reporting progress; minutes where there are many faces.

    Before, a network that scores its points learns once more how sure to be of each (`fit_point_scores`).

    Args:
        run: name of a run.
        name: what `--weights` shall call them.
        replace: weights of that name may be replaced.

    Returns:
        The metrics of each dataset that they were trained on, by its name, with `mean_shape_nme` and
        `mean_shape_rmse_px`, what the mean shape would have on the same faces.

    Raises:
        FkdError: there are no weights yet, or what `check_name` and `evaluate` raise.
    """
    check_name(name, replace)
    folder = RunFolder.open(run)
    _check_held_out(folder)
    model = load_torch_model(f"{RUN_PREFIX}{folder.name}")
    config = TrainConfig.from_dict(folder.read_config())
    fit_point_scores(model.network, config, load_faces(config, folder).train)
    card = dataclasses.replace(model.card, name=name, training={**model.card.training, "run": folder.name})
    for data in card.trained_on:
        report(f"reading {data}", 0.0)
        dataset = load_dataset(data)
        outcome = evaluate(model, dataset)
        floor = mean_shape_summary(model, dataset, outcome.rows)
        card.metrics[data] = outcome.summary | {f"mean_shape_{key}": floor[key] for key in ("nme", "rmse_px")}
    _put(card, model.network)
    write_card(name)
    return card.metrics


def warning(metrics: dict[str, Any]) -> str:
    """What whoever promotes weights should know of what `promote` has measured; empty where all is well."""
    unskilled = [
        f"{data} (NME {summary['nme']:.2f} %, the mean shape {summary['mean_shape_nme']:.2f} %)"
        for data, summary in metrics.items()
        if summary["nme"] >= summary["mean_shape_nme"]
    ]
    if not unskilled:
        return ""
    return f"They are no better than the same points for every face would be on {listed(unskilled)}; train longer."


def _check_held_out(folder: RunFolder) -> None:
    config = TrainConfig.from_dict(folder.read_config())
    if config.split == BY_FOLD and config.fold < 0:
        raise FkdError(
            f"The run {folder.name!r} was trained on every face, so none is left to measure it on; "
            "train with a fold held out, and promote that."
        )


def _put(card: Card, network: KeypointNetwork) -> None:
    """Write weights and their export, both or none: whoever stops it, or an export that fails, leaves the old ones."""
    path = weights_root() / f"{card.name}.safetensors"
    exported = path.with_suffix(".onnx")
    with TemporaryDirectory() as folder, written_aside(path) as aside, written_aside(exported) as exported_aside:
        made = Path(folder) / path.name
        save_weights(made, network, card)
        report("exporting for onnxruntime", 0.0)
        export_onnx(made, exported_aside)
        copyfile(made, aside)
