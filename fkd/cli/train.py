"""`python -m fkd train --recipe NAME`: the process that makes weights."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fkd.training.config import TrainConfig
    from fkd.training.group import Group
    from fkd.training.run import RunFolder

HELP = "train a recipe"
_DEVICE_HELP = "cpu, cuda, cuda:1, several as cuda:0,cuda:1 or cpu,cpu; auto takes a GPU where there is one"
_RUN_HELP = "name of the run's folder; made from recipe and time otherwise (torchrun takes it after `-m --` only)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", help="name of the recipe (see below)")
    parser.add_argument("--data", help="datasets, joined with +, instead of the recipe's")
    parser.add_argument("--device", default="auto", help=_DEVICE_HELP)
    changed = parser.add_argument(
        "--set", nargs="+", action="extend", default=[], help="settings to change (see below)"
    )
    changed.metavar = "FIELD=VALUE"
    parser.add_argument("--run", help=_RUN_HELP)
    parser.add_argument("--resume", action="store_true", help="go on with the run named by --run")
    parser.add_argument("--detach", action="store_true", help="train in the background; see python -m fkd runs")
    parser.add_argument("--queued", action="store_true", help=argparse.SUPPRESS)  # the queue's own workers
    parser.add_argument("--threads", type=_count, help="CPU threads; all otherwise")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _fields_help()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of threads; give 1 or more")
    return int(text)


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

    from fkd.cli.runs import tell_begun
    from fkd.errors import FkdError
    from fkd.training.group import Group, meet
    from fkd.training.launch import give_up, launch, resume
    from fkd.training.torchrun import Place, resolve_devices, start_torchrun

    _check_use(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    if place := Place.here():
        return _train(args, meet(), resolve_devices(args.device, place.local_size), place.local_rank)
    try:
        devices = resolve_devices(args.device)
        if args.queued:
            _settings_of(_folder(args))
    except FkdError as error:
        if args.queued:  # device and settings were right when the run began to wait
            give_up(args.run, args.device, str(error))
        raise
    if args.detach:
        folder = _folder(args)
        if args.resume:
            resume(folder.name, ",".join(devices))
        else:
            launch(folder, ",".join(devices))
        tell_begun(folder.name)
        return 0
    if len(devices) > 1:
        return start_torchrun(_in_each_process(args, _folder(args), devices), len(devices))
    return _train(args, Group(), devices, 0)


def _check_use(args: argparse.Namespace) -> None:
    """`WrongUse` for options that lack another, or would be without effect."""
    from fkd.errors import WrongUse

    if args.queued:
        return
    if args.resume and not args.run:
        raise WrongUse("--resume needs --run NAME, the run to go on with")
    if args.resume and (args.set or args.recipe or args.data):
        raise WrongUse("--resume goes on with the run's own settings; leave out --recipe, --data and --set")
    if not args.resume and not args.recipe:
        raise WrongUse("--recipe NAME is needed, or --resume with --run NAME")
    if args.detach and args.threads:
        raise WrongUse("--threads is of a training that is waited for; leave it out with --detach")


def _train(args: argparse.Namespace, group: Group, devices: list[str], number: int) -> int:
    """Train on the device of this number; the first process of a group makes the run, and tells the others."""
    from fkd.errors import FkdError
    from fkd.training.launch import turn
    from fkd.training.loop import train
    from fkd.training.run import RunFolder

    device = devices[number]
    if not group.leads:
        folder = RunFolder.open(group.wait_for_run())
        try:
            train(_settings_of(folder), folder, device, resume=True, group=group)
        except FkdError:
            return 1  # what it says, the first process says
        return 0
    folder = _folder(args)
    config, resume = _settings_of(folder), args.resume or args.queued
    with turn(folder, ",".join(devices), queued=args.queued):
        group.tell_run(folder.name)
        train(config, folder, device, resume=resume, group=group)
    if group.size == 1 and folder.read_status().get("state") == "stopped":  # torchrun would take 130 for a crash
        print(f"fkd: {folder.name} was stopped; go on with: python -m fkd runs resume {folder.name}", file=sys.stderr)
        return 130
    if best := folder.best_epoch():
        done, nme = folder.read_epochs()[-1]["epoch"], f"a validation NME of {best['validation_nme']:.2f} %"
        if best["epoch"]:
            told = f"epoch {best['epoch']} of {done} was best, with {nme}; best.safetensors is of that epoch"
        else:
            told = f"no epoch was better than its start, with {nme}; best.safetensors holds the start"
        print(f"{folder.path}: {told}")
    return 0


def _in_each_process(args: argparse.Namespace, folder: RunFolder, devices: list[str]) -> list[str]:
    """The command that torchrun is to start."""
    import torch

    threads = args.threads or max(torch.get_num_threads() // len(devices), 1)
    how = "--queued" if args.queued else "--resume"  # its folder is there already, with nothing to go on from
    return ["train", "--run", folder.name, how, "--device", ",".join(devices), "--threads", str(threads)]


def _settings_of(folder: RunFolder) -> TrainConfig:
    """What a run's folder says it is trained with; `FkdError` where that cannot be read or is out of range."""
    from fkd.training.config import TrainConfig

    return TrainConfig.from_dict(folder.read_config()).checked()


def _folder(args: argparse.Namespace) -> RunFolder:
    """The run to go on with, or a new one with its configuration written."""
    from fkd.training.begin import new_run
    from fkd.training.recipes import get_recipe, remark
    from fkd.training.run import RunFolder

    if args.resume or args.queued:
        return RunFolder.open(args.run)
    settings = args.set + ([f"data={args.data}"] if args.data else [])
    config = get_recipe(args.recipe).with_settings(settings)
    folder = new_run(args.run or f"{config.recipe}-{time.strftime('%Y%m%d-%H%M%S')}", config)
    if told := remark(config):
        print(f"fkd: {told}", file=sys.stderr)
    return folder
