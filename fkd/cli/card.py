"""`python -m fkd card NAME... [--measure]`: the cards of shipped weights, from what was measured of them."""

from __future__ import annotations

import argparse

HELP = "write the cards of shipped weights from what was measured"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="shipped weights")
    parser.add_argument("--measure", action="store_true", help="measure all of it first, which takes minutes")


def run(args: argparse.Namespace) -> int:
    from fkd.errors import FkdError
    from fkd.evaluation.cards import write_card
    from fkd.weights import list_weights

    for name in args.names:
        if name not in list_weights():
            raise FkdError(f"{name!r} are no shipped weights; there are: {', '.join(list_weights()) or 'none'}.")
    for name in args.names:
        if args.measure:
            _measure(name)
        print(f"wrote {write_card(name)}", flush=True)
    return 0


def _measure(name: str) -> None:
    from PIL import Image

    from fkd.evaluation.assess import assess
    from fkd.evaluation.assessment import write_assessment
    from fkd.evaluation.cards import picture_path
    from fkd.evaluation.failures import draw_failures
    from fkd.paths import written_aside

    found, failures = assess(name)
    with written_aside(picture_path(name)) as aside:
        Image.fromarray(draw_failures(failures)).save(aside, format="JPEG", quality=82)
    print(f"wrote {write_assessment(found)}", flush=True)
