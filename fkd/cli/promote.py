"""`python -m fkd promote RUN --name NAME`: make a run's weights shipped weights, measured and with a card."""

from __future__ import annotations

import argparse
import dataclasses
import json

HELP = "put a run's weights into weights/, measured on the held-out fold and with a card"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_name", metavar="RUN", help="name of a run's folder")
    parser.add_argument("--name", required=True, help="what --weights shall call them")


def run(args: argparse.Namespace) -> int:
    from fkd.cards import render_card, trained_on
    from fkd.cli.evaluate import describe
    from fkd.data import load_dataset
    from fkd.errors import FkdError
    from fkd.evaluate import evaluate
    from fkd.paths import weights_root
    from fkd.training.recipes import get_recipe
    from fkd.training.run import RunFolder
    from fkd.weights import load_model, save_weights

    if not args.name.replace("-", "").replace("_", "").isalnum():
        raise FkdError(f"{args.name!r} cannot name weights; use letters, digits, '-' and '_'.")
    folder = RunFolder.open(args.run_name)
    if not folder.weights.is_file():
        raise FkdError(f"The run {folder.name!r} has no weights yet; wait for its first epoch.")
    model = load_model(folder.weights)
    training = {**model.card.training, "run": folder.name}
    training["changes"] = _changes(training["config"], get_recipe(training["recipe"]).as_dict())
    card = dataclasses.replace(model.card, name=args.name, training=training)
    for data in trained_on(card):
        summary = evaluate(model, load_dataset(data)).summary
        card.metrics[data] = summary
        print(describe({"weights": args.name, "data": data, "split": "test", **summary}), flush=True)
    path = weights_root() / f"{args.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(path, model.network, card)
    path.with_suffix(".md").write_text(render_card(path), encoding="utf-8")
    print(f"wrote {path} and its card")
    return 0


def _changes(config: dict, recipe: dict, prefix: str = "") -> list[str]:
    """`field=value` for every setting in which a run differs from its recipe."""
    changes = []
    for key, value in recipe.items():
        if key == "augmentation":
            changes += _changes(config[key], value, "augmentation.")
        elif key in config and config[key] != value:
            changes.append(f"{prefix}{key}={json.dumps(config[key]) if isinstance(value, dict) else config[key]}")
    return changes
