"""`python -m fkd bench NAME [--json FILE]`: speed, both sides measured in one run."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

HELP = "measure speed against the usual way, both in one run"
NAMES = ("data",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=NAMES, help="what to measure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON too")


def run(args: argparse.Namespace) -> int:
    result = importlib.import_module(f"fkd.bench.{args.name}").measure()
    text = json.dumps(result, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    return 0
