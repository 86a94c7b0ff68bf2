"""`python -m fkd bench NAME [--json FILE]`: speed, both sides measured in one run."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

from fkd.errors import WrongUse

HELP = "measure speed against the usual way, both in one run"
NAMES = ("data", "live", "predict", "train")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=NAMES, help="what to measure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON too")
    live = parser.add_argument_group("live")
    live.add_argument("--clips", type=Path, metavar="DIR", help="folder of video files to follow faces in")
    live.add_argument("--weights", metavar="NAME", help="which network (default: that of the live view)")
    live.add_argument("--mediapipe", type=Path, metavar="PYTHON", help="a Python that has requirements-bench.txt")


def run(args: argparse.Namespace) -> int:
    from fkd.paths import written_aside

    given = {name: getattr(args, name) for name in ("clips", "weights", "mediapipe") if getattr(args, name)}
    if given and args.name != "live":
        raise WrongUse(f"{', '.join(f'--{name}' for name in given)}: only of bench live")
    result = importlib.import_module(f"fkd.bench.{args.name}").measure(**given)
    text = json.dumps(result, indent=2)
    print(text)
    if args.json:
        with written_aside(args.json) as aside:
            aside.write_text(text + "\n", encoding="utf-8")
    return 0
