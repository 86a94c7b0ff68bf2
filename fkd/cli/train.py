"""`python -m fkd train --recipe NAME`: the process that makes weights."""

from __future__ import annotations

import argparse
import dataclasses
import time

HELP = "train a recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", required=True, help="name of the recipe; a wrong one lists all")
    parser.add_argument("--data", help="datasets, joined with +, instead of the recipe's")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1; auto takes a GPU where there is one")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="settings to change (see below)")
    parser.add_argument("--run", help="name of the run's folder; made from recipe and time otherwise")
    parser.add_argument("--resume", action="store_true", help="go on with the run named by --run")
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

    from fkd.errors import FkdError
    from fkd.training.config import TrainConfig
    from fkd.training.loop import train
    from fkd.training.recipes import get_recipe
    from fkd.training.run import RunFolder

    if args.threads:
        torch.set_num_threads(args.threads)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise FkdError(f"The device {device!r} is not available here; use --device cpu.")
    config = get_recipe(args.recipe)
    if args.resume:
        if not args.run:
            raise FkdError("--resume needs --run NAME, the run to go on with.")
        folder = RunFolder.open(args.run)
        config = TrainConfig.from_dict(folder.read_config())
    else:
        settings = args.set + ([f"data={args.data}"] if args.data else [])
        config = config.with_settings(settings)
        folder = RunFolder.create(args.run or f"{config.recipe}-{time.strftime('%Y%m%d-%H%M%S')}")
        folder.write_config(config.as_dict())
    train(config, folder, device, resume=args.resume)
    last = folder.read_metrics()[-1:]
    if last:
        print(f"{folder.path}: epoch {last[0]['epoch']}, validation NME {last[0]['validation_nme']:.2f} %")
    return 0
