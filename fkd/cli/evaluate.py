"""`python -m fkd evaluate --weights NAME...`: every metric of weights on held-out faces."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HELP = "measure weights on faces they were not trained on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", nargs="+", required=True, metavar="NAME", help="shipped names, or paths")
    parser.add_argument("--data", nargs="+", metavar="NAME", help="datasets; the ones trained on otherwise")
    parser.add_argument("--split", default="test", help="test (the held-out fold, default), train or all")
    parser.add_argument("--no-box-errors", action="store_true", help="skip the measurement with wrong boxes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON too")


def run(args: argparse.Namespace) -> int:
    from fkd.data import load_dataset
    from fkd.evaluate import evaluate
    from fkd.weights import load_model

    results = []
    for name in args.weights:
        model = load_model(name)
        for data in args.data or default_datasets(model.card.training):
            outcome = evaluate(model, load_dataset(data), args.split, box_errors=not args.no_box_errors)
            if outcome.seen_in_training:
                warning = f"WARNING: {name} was trained on faces of {data}; these figures say nothing about new people."
                print(warning, file=sys.stderr)
            results.append({"weights": name, "data": data, "split": args.split, **outcome.summary})
            print(describe(results[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


def default_datasets(training: dict[str, Any]) -> list[str]:
    """The datasets of a card, each by itself."""
    return str(training.get("config", {}).get("data", "synthetic68")).split("+")


def describe(result: dict[str, Any]) -> str:
    """A few lines with every figure that a reader compares."""
    groups = ", ".join(f"{group} {value:.2f}" for group, value in result["nme_by_group"].items())
    lines = [
        f"{result['weights']} on {result['data']}, split {result['split']}, {result['faces']} faces",
        f"  NME {result['nme']:.2f} % (median {result['nme_median']:.2f}, P90 {result['nme_p90']:.2f}; {groups})",
        f"  FR@8 {result['fr8']:.2f} %, AUC@8 {result['auc8']:.1f} %, RMSE {result['rmse_px']:.3f} px, "
        f"argmax accuracy {result['argmax_accuracy']:.2f} %",
    ]
    if "box_error_growth" in result:
        lines.append(f"  NME with boxes off by 10 % and 15 %: {result['box_error_growth']:+.1f} % of itself")
    return "\n".join(lines)
