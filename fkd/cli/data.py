"""`python -m fkd data list|info|proof|fetch|import`: what datasets are here, what is in them, and more of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fkd.errors import FkdError, WrongUse, counted, listed

if TYPE_CHECKING:
    from fkd.data.dataset import Dataset
    from fkd.data.importing import Imported

HELP = "list, describe, fetch and import datasets"
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from fkd.data import FETCHED

    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add(actions, "list", "datasets that are known, and where they are", _list)
    info = _add(actions, "info", "faces, labels, groups and splits of a dataset", _info)
    info.add_argument("name", metavar="NAME", help="a dataset, or several joined with +")
    info.add_argument("--quality", action="store_true", help="also what may be wrong with its faces")
    info.add_argument(
        "--weights",
        help="weights that judge labels, for --quality: the best by default, 'none' for a regression",
    )
    proof = _add(actions, "proof", "plant wrong labels in memory, and tell how many of them are found", _proof)
    proof.add_argument("name", metavar="NAME", help="a dataset, or several joined with +")
    proof.add_argument("--weights", default="auto", help="weights that judge labels; 'none' for a regression")
    seeds = "how often to plant, each time elsewhere; 1 to 20"
    proof.add_argument("--seeds", type=int, default=1, choices=range(1, 21), metavar="N", help=seeds)
    fetch = _add(actions, "fetch", "download a published dataset into FKD_DATA", _fetch)
    fetch.add_argument("source", choices=tuple(FETCHED.values()))
    fetch.add_argument("--url", help="another place of the archive (youtube-faces)")
    fetch.add_argument("--sha256", help="checksum that the archive must have (youtube-faces)")
    take = _add(actions, "import", "store a folder, CSV or zip of your own under FKD_DATA", _import)
    told = "a CSV, a folder of pictures with a CSV or .pts files, or a zip"
    take.add_argument("path", type=Path, metavar="PATH", help=told)
    take.add_argument("--name", required=True, help="what --data shall call it")
    take.add_argument("--layout", default="auto", choices=("auto", "kaggle", "points68"), help="default: %(default)s")
    take.add_argument(
        "--bad-rows", default="stop", choices=("stop", "skip"), help="stop at a bad row (default), or leave it out"
    )


def _add(actions: argparse._SubParsersAction, name: str, text: str, act: Callable) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    parser.set_defaults(act=act)
    return parser


def run(args: argparse.Namespace) -> int:
    args.act(args)
    return 0


def _list(args: argparse.Namespace) -> None:
    from fkd.data import FETCHED, check_files, dataset_names, is_available, is_drawn, layout_of
    from fkd.paths import data_root

    for name in dataset_names():
        folder = data_root() / name
        if is_drawn(name):
            print(f"{name:20} drawn on demand")
        elif is_available(name):
            points = 15 if layout_of(folder) == "kaggle" else 68
            try:
                check_files(folder)
                print(f"{name:20} {points} points, {folder}")
            except FkdError as error:
                print(f"{name:20} damaged, {folder}: {error}")
        else:
            way = FETCHED.get(name)
            fetched = f"`python -m fkd data fetch {way}`, or " if way else ""
            print(f"{name:20} absent; {fetched}put it into {folder}")


def _info(args: argparse.Namespace) -> None:
    import numpy as np

    from fkd.data import load_dataset
    from fkd.data.missing import missing_most
    from fkd.data.splits import published_parts, shared_groups

    if args.weights and not args.quality:
        raise WrongUse("--weights goes with --quality")
    dataset = load_dataset(args.name)
    n, labels = len(dataset), np.isfinite(dataset.points_px).all(axis=2)
    height, width = dataset.images_u8.shape[1:]
    print(f"{dataset.name}: {n} faces of {width}x{height} px, schema {dataset.schema.name}")
    print(
        f"  complete: {dataset.complete.sum()} faces have all {len(dataset.schema)} points; {(~labels).sum()} missing"
    )
    if not labels.all():
        names, most = missing_most(dataset)
        print(f"  missing most: {listed(names)}, {'in' if len(names) == 1 else 'each in'} {counted(most, 'face')}")
    print(f"  groups: {len(np.unique(dataset.groups))} people, photos or clusters of near-duplicates")
    parts = published_parts(dataset)
    print("  published in: " + ", ".join(f"{part} {mask.sum()}" for part, mask in parts.items()))
    for (a, b), shared in shared_groups(dataset.groups, parts).items():
        groups = {part: len(np.unique(dataset.groups[parts[part]])) for part in (a, b)}
        print(f"  shared: {len(shared)} groups are in both {a} (of {groups[a]}) and {b} (of {groups[b]})")
    if args.quality:
        _print_quality(dataset, None if args.weights == "none" else args.weights or "auto")


def _print_quality(dataset: Dataset, weights: str | None) -> None:
    from fkd.curation import quality_of
    from fkd.data.quality import CHECKS

    quality = quality_of(dataset, weights)
    print(f"  quality, labels judged by {quality.judge}:")
    for check in CHECKS.values():
        sign = ">=" if check.above else "<"
        count = int(quality.flagged(check.name).sum())
        print(f"    {check.name:18} {count:6}  {check.measure} {sign} {check.threshold:g}: {check.help}")
    print("  most suspicious labels (row in the source, suspicion):")
    for row in quality.ranking()[:_SHOWN]:
        print(f"    {dataset.sources[row]} {dataset.rows[row]}  {quality.measures['suspicion'][row]:.2f}")


def _proof(args: argparse.Namespace) -> None:
    from fkd.data import load_dataset
    from fkd.evaluation.planted import KINDS, measure_finding

    weights = None if args.weights == "none" else args.weights
    findings = measure_finding(load_dataset(args.name), weights, range(1, args.seeds + 1))
    print(f"{args.name}: of 40 wrong labels, planted at a time, so many are among the 80 most suspicious")
    for finding in findings:
        share = f"{finding.found} of {finding.planted}"
        told = KINDS.get(finding.kind, "eight of each")
        print(f"  {finding.kind:13} {share:>10}  {finding.found / finding.planted:4.0%}  {told}")


def _fetch(args: argparse.Namespace) -> None:
    from fkd.data.fetch import (
        KAGGLE_TERMS_URL,
        YOUTUBE_FACES_TERMS_URL,
        YOUTUBE_FACES_URL,
        fetch_kaggle,
        fetch_youtube_faces,
    )

    if args.source == "kaggle":
        if args.url or args.sha256:
            raise WrongUse("--url and --sha256 are for youtube-faces; Kaggle's files come by kagglehub")
        print(f"Kaggle's terms apply: {KAGGLE_TERMS_URL}")
        _report(fetch_kaggle())
    else:
        print(f"YouTube Faces may be used for research only: {YOUTUBE_FACES_TERMS_URL}")
        _report(fetch_youtube_faces(args.url or YOUTUBE_FACES_URL, args.sha256))


def _import(args: argparse.Namespace) -> None:
    from fkd.data.importing import import_dataset

    skip = args.bad_rows == "skip"
    _report(import_dataset(args.path, args.name, layout=args.layout, skip_bad_rows=skip))


def _report(imported: Imported) -> None:
    for bad in imported.bad_rows:
        print(f"left out: {bad.reason}")
    left_out = f", {counted(len(imported.bad_rows), 'row')} left out" if imported.bad_rows else ""
    print(f"{imported.name}: {counted(imported.faces, 'face')}{left_out}, in {imported.folder}")
