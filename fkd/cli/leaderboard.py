"""`python -m fkd leaderboard`: the table of all recipes and weights, and its making."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

HELP = "the table of all recipes and weights, from results/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--add", nargs="+", default=[], metavar="RUN", help="measure runs and write results/RUN.json, a tracked file"
    )
    parser.add_argument("--time", action="store_true", help="measure the speed of all on this machine and store it")
    parser.add_argument("--sort", metavar="COLUMN", help="order by one column of --json, the best first")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put it between the marks of a Markdown file")
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    printed.add_argument("--json", nargs="?", const="-", metavar="FILE", help="print the rows as JSON, or write them")


def run(args: argparse.Namespace) -> int:
    from fkd.errors import FkdError
    from fkd.evaluation.leaderboard import (
        add_result,
        add_times,
        as_markdown,
        as_text,
        put_between_marks,
        read_results,
        sort_rows,
    )
    from fkd.paths import results_root, written_aside
    from fkd.training.run import RunFolder

    for folder in [RunFolder.open(name) for name in args.add]:
        print(f"wrote {add_result(folder)}", flush=True)
    if args.time:
        for path in add_times():
            print(f"wrote {path}", flush=True)
    rows = read_results()
    if not rows:
        raise FkdError(f"There are no results in {results_root()}; python -m fkd leaderboard --add RUN makes some.")
    if args.sort:
        rows = sort_rows(rows, args.sort)
    if args.into:
        if not args.into.is_file():
            raise FkdError(f"There is no file {args.into} to put the table into.")
        text = put_between_marks(args.into.read_text("utf-8"), as_markdown(rows))
        with written_aside(args.into) as aside:
            aside.write_text(text, encoding="utf-8")
    if args.json:
        text = json.dumps([dataclasses.asdict(row) for row in rows], indent=2)
        if args.json != "-":
            with written_aside(Path(args.json)) as aside:
                aside.write_text(text + "\n", encoding="utf-8")
            return 0
        print(text)
    else:
        print(as_markdown(rows) if args.markdown else as_text(rows))
    return 0
