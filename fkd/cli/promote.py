"""`python -m fkd promote RUN --name NAME`: make a run's weights shipped weights, measured and with a card."""

from __future__ import annotations

import argparse
import sys

HELP = "measure a run's weights and put them into weights/ with a card"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_name", metavar="RUN", help="name of a run's folder")
    parser.add_argument("--name", required=True, help="what --weights shall call them")
    parser.add_argument("--replace", action="store_true", help="replace weights of that name without asking")


def run(args: argparse.Namespace) -> int:
    from fkd.cli.evaluate import describe
    from fkd.promote import promote, warning
    from fkd.weights import find_weights

    metrics = promote(args.run_name, args.name, args.replace or _may_replace(args.name))
    for data, summary in metrics.items():
        print(describe({"weights": args.name, "data": data, "split": "test", **summary}))
    print(f"wrote {find_weights(args.name)}, the same for onnxruntime, and its card")
    if told := warning(metrics):
        print(f"fkd: {told}", file=sys.stderr)
    return 0


def _may_replace(name: str) -> bool:
    """Whether the person at the terminal says yes; asked only where there are weights of that name."""
    from fkd.errors import FkdError
    from fkd.weights import list_weights

    if name not in list_weights():
        return False
    if not sys.stdin.isatty():
        raise FkdError(f"There are weights {name!r} already; add --replace, or choose another name.")
    return input(f"Replace the weights {name!r}? [y/N] ").strip().lower() in ("y", "yes")
