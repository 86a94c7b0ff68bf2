"""`python -m fkd export --weights NAME --out FILE.onnx`: weights for onnxruntime and everything that reads ONNX."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write weights with their decoding as ONNX, checked against torch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", required=True, metavar="NAME", help="a shipped name, or a path")
    parser.add_argument(
        "--out",
        required=True,
        type=_onnx_file,
        metavar="FILE.onnx",
        help="beside the weights and named as they are, predictions on the CPU use it",
    )


def run(args: argparse.Namespace) -> int:
    from fkd.export import MOST_APART_PX, export_onnx

    done = export_onnx(args.weights, args.out)
    print(f"wrote {args.out}, {done.size_bytes / 1e6:.1f} MB")
    print(
        f"at most {done.apart_px:.6f} px from torch (allowed: {MOST_APART_PX}), scores at most {done.scores_apart:.6f}"
    )
    return 0


def _onnx_file(text: str) -> Path:
    if Path(text).suffix != ".onnx":
        raise argparse.ArgumentTypeError(f"expected a name that ends in .onnx, received {text!r}")
    return Path(text)
