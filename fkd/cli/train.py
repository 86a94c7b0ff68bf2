"""`python -m fkd train --recipe NAME`: the process that makes weights."""

from __future__ import annotations

import argparse
import dataclasses
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fkd.training.run import RunFolder

HELP = "train a recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", help="name of the recipe (see below)")
    parser.add_argument("--data", help="datasets, joined with +, instead of the recipe's")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1; auto takes a GPU where there is one")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="settings to change (see below)")
    parser.add_argument("--run", help="name of the run's folder; made from recipe and time otherwise")
    parser.add_argument("--resume", action="store_true", help="go on with the run named by --run")
    parser.add_argument("--detach", action="store_true", help="train in the background; see python -m fkd runs")
    parser.add_argument("--queued", action="store_true", help=argparse.SUPPRESS)  # the queue's own workers
    parser.add_argument("--threads", type=int, help="CPU threads; all otherwise")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _fields_help()


def _fields_help() -> str:
    from fkd.augment import Augmentation
    from fkd.training.config import TrainConfig
    from fkd.training.recipes import RECIPES

    lines = ["recipes:", *(f"  {name:12} {recipe.summary}" for name, recipe in RECIPES.items())]
    lines += ["", "settings for --set:"]
    for owner, prefix in ((TrainConfig, ""), (Augmentation, "augmentation.")):
        for field in dataclasses.fields(owner):
            if field.name != "augmentation":
                lines.append(f"  {prefix + field.name:28} {field.metadata['help']}")
    return "\n".join(lines).replace("%", "%%")


def run(args: argparse.Namespace) -> int:
    import torch

    from fkd.training.config import TrainConfig
    from fkd.training.launch import launch, turn
    from fkd.training.loop import train

    if args.threads:
        torch.set_num_threads(args.threads)
    device = _device(args.device)
    folder = _folder(args)
    if args.detach:
        launch(folder, device)
        print(f"{folder.name} trains in the background; see python -m fkd runs show {folder.name}")
        return 0
    with turn(folder, device, queued=args.queued):
        train(TrainConfig.from_dict(folder.read_config()), folder, device, resume=args.resume or args.queued)
    last = folder.read_epochs()[-1:]
    if last:
        print(f"{folder.path}: epoch {last[0]['epoch']}, validation NME {last[0]['validation_nme']:.2f} %")
    return 0


def _device(name: str) -> str:
    import torch

    from fkd.errors import FkdError

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise FkdError(f"The device {name!r} is not available here; use --device cpu.")
    return "cuda:0" if name == "cuda" else name  # one device, one name, one queue


def _folder(args: argparse.Namespace) -> RunFolder:
    """The run to go on with, or a new one with its configuration written."""
    from fkd.errors import FkdError
    from fkd.training.recipes import get_recipe
    from fkd.training.run import RunFolder

    if args.resume or args.queued:
        if not args.run:
            raise FkdError("--resume needs --run NAME, the run to go on with.")
        return RunFolder.open(args.run)
    if not args.recipe:
        raise FkdError("--recipe NAME is needed, or --resume; see python -m fkd train --help.")
    settings = args.set + ([f"data={args.data}"] if args.data else [])
    config = get_recipe(args.recipe).with_settings(settings)
    folder = RunFolder.create(args.run or f"{config.recipe}-{time.strftime('%Y%m%d-%H%M%S')}")
    folder.write_config(config.as_dict())
    return folder
