"""`python -m fkd submit --weights NAME --out FILE`: a submission file for Kaggle's test."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a submission for Kaggle's Facial Keypoints Detection"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", default="kaggle15", metavar="NAME", help="a shipped name, run:NAME, or a path")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the CSV to write")
    parser.add_argument(
        "--folder", type=Path, help="where test.zip and IdLookupTable.csv are; FKD_DATA/kaggle otherwise"
    )


def run(args: argparse.Namespace) -> int:
    from fkd.evaluation.submission import make_submission, write_submission
    from fkd.paths import data_root
    from fkd.weights import load_torch_model

    values = make_submission(load_torch_model(args.weights), args.folder or data_root() / "kaggle")
    write_submission(args.out, values)
    print(f"wrote {args.out}: {len(values):,} values, checked")
    return 0
