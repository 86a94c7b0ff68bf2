"""`python -m fkd evaluate --weights NAME...`: every metric of weights on held-out faces."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fkd.data.dataset import Dataset
    from fkd.evaluation.evaluate import Evaluation
    from fkd.evaluation.folds import FoldErrors
    from fkd.weights import LoadedModel

HELP = "measure weights on faces they were not trained on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from fkd.evaluation.evaluate import BOXES, SPLITS

    parser.add_argument("--weights", nargs="+", required=True, metavar="NAME", help="shipped names, paths, or run:NAME")
    parser.add_argument("--data", nargs="+", metavar="NAME", help="datasets; the ones trained on otherwise")
    parser.add_argument("--split", default="test", choices=SPLITS, help="which faces; the held-out ones otherwise")
    parser.add_argument("--boxes", default="true", choices=BOXES, help="true ones, or those of the face detector")
    parser.add_argument(
        "--no-box-errors", action="store_true", help="skip the measurement with wrong boxes, which takes long"
    )
    parser.add_argument(
        "--style", metavar="DATASET", help="place points as in this dataset; as in the one of each face otherwise"
    )
    parser.add_argument("--folds", type=int, choices=(5,), help="mean and deviation over five folds, as stored")
    parser.add_argument("--retrain", action="store_true", help="with --folds: train what is missing and store anew")
    parser.add_argument("--device", default="cpu", help="what --retrain trains on")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON too")
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="DIR",
        help="draw predictions over test faces (KEYPOINTS_0.png for the first weights) and loss curves (LOSS_0.png)",
    )


def run(args: argparse.Namespace) -> int:
    from fkd.paths import written_aside

    _check_use(args)
    results = _over_folds(args) if args.folds else _on_split(args)
    if args.json:
        with written_aside(args.json) as aside:
            aside.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


def _check_use(args: argparse.Namespace) -> None:
    """`WrongUse` for options that would be without effect."""
    from fkd.errors import WrongUse

    if args.retrain and not args.folds:
        raise WrongUse("--retrain goes with --folds 5")
    if args.device != "cpu" and not args.retrain:
        raise WrongUse("--device goes with --retrain; measuring is done on the CPU")
    of_one_split = {
        "--split": args.split != "test",
        "--boxes": args.boxes != "true",
        "--no-box-errors": args.no_box_errors,
        "--style": args.style is not None,
        "--figures": args.figures is not None,
    }
    if args.folds and any(of_one_split.values()):
        without_effect = ", ".join(option for option, given in of_one_split.items() if given)
        raise WrongUse(f"--folds takes the held-out faces in true boxes, and draws nothing; leave out {without_effect}")


def _on_split(args: argparse.Namespace) -> list[dict[str, Any]]:
    from fkd.data import load_dataset
    from fkd.errors import FkdError
    from fkd.evaluation.evaluate import evaluate
    from fkd.weights import load_torch_model

    results = []
    for number, name in enumerate(args.weights):
        model = load_torch_model(name)
        chosen = args.data or model.card.trained_on
        if not chosen:
            raise FkdError(f"The card of {name} does not say what it was trained on; name a dataset with --data.")
        for data in chosen:
            dataset = load_dataset(data)
            errors = not args.no_box_errors
            outcome = evaluate(model, dataset, args.split, boxes=args.boxes, box_errors=errors, style=args.style)
            results.append({"weights": name, "data": data, "split": args.split, "boxes": args.boxes})
            results[-1] |= {"seen_in_training": outcome.seen, "learned_from": outcome.learned, **outcome.summary}
            print(describe(results[-1]), flush=True)
            if outcome.seen:
                print(_remark(name, data, outcome), file=sys.stderr, flush=True)
            if args.figures:
                file = f"KEYPOINTS_{number}.png" if data == chosen[0] else f"KEYPOINTS_{number}_{data}.png"
                title = f"{model.card.name} on {data}, {args.split} faces"
                _draw_keypoints(args.figures / file, title, dataset.subset(outcome.rows), outcome)
        if args.figures:
            _draw_losses(args.figures / f"LOSS_{number}.png", name, model)
    return results


def _remark(name: str, data: str, outcome: Evaluation) -> str:
    """What is to be known of figures on faces that training saw: loudly of those that the weights learned from."""
    faces = len(outcome.rows)
    if outcome.learned:
        return (
            f"WARNING: {name} WAS TRAINED ON {_share(outcome.learned, faces).upper()} {faces:,} FACES of {data}.\n"
            "WARNING: The figures above say nothing about new faces; --split test measures those that were held out."
        )
    return (
        f"{name} has not learned from these faces of {data}, but its epoch was chosen by {_share(outcome.seen, faces)} "
        f"{faces:,}, so the figures flatter a little; --split test measures those that were held out."
    )


def _share(count: int, of: int) -> str:
    return "all these" if count == of else f"{count:,} of these"


def _draw_keypoints(path: Path, title: str, faces: Dataset, outcome: Evaluation) -> None:
    from fkd.evaluation.figures import keypoints_figure

    figures = f"NME {outcome.summary['nme']:.2f} %, RMSE {outcome.summary['rmse_px']:.2f} px"
    _save(path, keypoints_figure(faces, outcome.predicted_px, f"{title}: {figures}"))


def _draw_losses(path: Path, name: str, model: LoadedModel) -> None:
    from fkd.evaluation.figures import loss_figure
    from fkd.evaluation.leaderboard import find_history

    history = find_history(name, model.card)
    if history is None:
        print(f"no curves of {name}: neither its run nor its result is here", file=sys.stderr)
    else:
        _save(path, loss_figure(history, f"{model.card.name}: training of {model.card.training.get('recipe')}"))


def _save(path: Path, figure_rgb_u8: Any) -> None:
    from PIL import Image

    from fkd.paths import written_aside

    with written_aside(path) as aside:
        Image.fromarray(figure_rgb_u8).save(aside, format="PNG")
    print(f"wrote {path}")


def _over_folds(args: argparse.Namespace) -> list[dict[str, Any]]:
    from fkd.evaluation.folds import folds_of, folds_path, measure_folds

    for name in args.weights:
        _check_data(name, args.data or [])
    results = []
    for name in args.weights:
        found = measure_folds(name, args.device) if args.retrain else folds_of(name)
        if args.retrain:
            print(f"wrote {folds_path(found.about['name'])}")
        for data in args.data or found.about["data"]:
            results.append(_fold_result(name, data, found))
            print(describe_folds(results[-1]), flush=True)
        if found.missing:
            left = " and ".join(map(str, found.missing))
            print(f"{name}: fold {left} is still to be measured; --retrain goes on with it", file=sys.stderr)
    return results


def _check_data(name: str, asked: list[str]) -> None:
    """`FkdError` where data are asked for that the folds of weights cannot be of."""
    from fkd.errors import FkdError
    from fkd.evaluation.folds import folds_data

    known = folds_data(name)
    others = [data for data in asked if data not in known]
    if others:
        learned = " and ".join(known) or "nothing that its card names"
        raise FkdError(f"--folds is of what weights have learned from: {name} from {learned}, not from {others[0]}.")


def _fold_result(name: str, data: str, found: FoldErrors) -> dict[str, Any]:
    figures = {key: {"mean": m, "deviation": d} for key, (m, d) in found.mean_and_deviation(data).items()}
    return {"weights": name, "data": data, "folds": found.by_fold(data), **figures}


def describe(result: dict[str, Any]) -> str:
    """A few lines with every figure that a reader compares."""
    groups = ", ".join(f"{group} {value:.2f}" for group, value in result["nme_by_group"].items())
    found = f", the detector found {result['found']:.1f} %" if "found" in result else ""
    lines = [
        f"{result['weights']} on {result['data']}, split {result['split']}, {result['faces']} faces{found}",
        f"  NME {result['nme']:.2f} % (median {result['nme_median']:.2f}, P90 {result['nme_p90']:.2f}; {groups})",
        f"  FR@8 {result['fr8']:.2f} %, AUC@8 {result['auc8']:.1f} %, RMSE {result['rmse_px']:.3f} px, "
        f"argmax accuracy {result['argmax_accuracy']:.2f} %",
    ]
    if "box_error_growth" in result:
        lines.append(f"  NME with boxes off by 10 % and 15 %: {result['box_error_growth']:+.1f} % of itself")
    return "\n".join(lines)


def describe_folds(result: dict[str, Any]) -> str:
    """Mean and standard deviation over the folds."""

    def figure(key: str, digits: int = 2) -> str:
        return f"{result[key]['mean']:.{digits}f} ± {result[key]['deviation']:.{digits}f}"

    faces = [fold["faces"] for fold in result["folds"]]
    return (
        f"{result['weights']} on {result['data']}: mean ± deviation over {len(faces)} folds, {sum(faces)} faces\n"
        f"  NME {figure('nme')} % (median {figure('nme_median')}, P90 {figure('nme_p90')})\n"
        f"  FR@8 {figure('fr8')} %, AUC@8 {figure('auc8', 1)} %, RMSE {figure('rmse_px', 3)} px, "
        f"argmax accuracy {figure('argmax_accuracy')} %"
    )
