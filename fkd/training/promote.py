"""A run's best weights made shipped weights: measured on the faces held out from them, and with a card."""

from __future__ import annotations

import dataclasses
from typing import Any

from fkd.data import load_dataset
from fkd.errors import FkdError
from fkd.evaluation.cards import render_card, trained_on
from fkd.evaluation.evaluate import evaluate
from fkd.export import export_onnx
from fkd.paths import weights_root, written_aside
from fkd.progress import report
from fkd.training.recipes import changes_from_recipe
from fkd.training.run import RunFolder
from fkd.weights import RUN_PREFIX, list_weights, load_torch_model, save_weights


def check_name(name: str, replace: bool) -> None:
    """`FkdError` where weights cannot be called `name`, or are already and shall not be replaced."""
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise FkdError(f"{name!r} cannot name weights; use letters, digits, '-' and '_'.")
    if name in list_weights() and not replace:
        raise FkdError(f"There are weights {name!r} already; choose another name, or replace them.")


def promote(run: str, name: str, replace: bool = False) -> dict[str, Any]:
    """Measure a run's weights and put them into `weights/`, reporting progress; minutes where there are many faces.

    Args:
        run: name of a run.
        name: what `--weights` shall call them.
        replace: weights of that name may be replaced.

    Returns:
        The metrics of each dataset that they were trained on, by its name.

    Raises:
        FkdError: there are no weights yet, or what `check_name` and `evaluate` raise.
    """
    check_name(name, replace)
    folder = RunFolder.open(run)
    model = load_torch_model(f"{RUN_PREFIX}{folder.name}")
    training = {**model.card.training, "run": folder.name}
    training["changes"] = changes_from_recipe(training["config"])
    card = dataclasses.replace(model.card, name=name, training=training)
    for data in trained_on(card):
        report(f"reading {data}", 0.0)
        card.metrics[data] = evaluate(model, load_dataset(data)).summary
    path = weights_root() / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(path, model.network, card)
    report("exporting for onnxruntime", 0.0)
    export_onnx(path, path.with_suffix(".onnx"))
    with written_aside(path.with_suffix(".md")) as aside:
        aside.write_text(render_card(path), encoding="utf-8")
    return card.metrics
