"""`python -m fkd runs`: list, show, stop, resume, rename, export and delete runs, and order those that wait."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fkd.errors import FkdError

if TYPE_CHECKING:
    from fkd.training.launch import RunView

HELP = "list, show, stop, resume, rename, export, delete, move runs"


_LAST_EPOCHS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="a table of all runs (what is done without an action)")
    actions.add_parser("queue", help="the runs that wait for each device, the next first")
    for action, help in {
        "show": "settings, progress and last epochs of a run",
        "stop": "end a run in good order, or take it out of the queue",
        "resume": "go on with a run that was stopped, failed or lost",
        "rename": "give a run that is not going on another name",
        "export": "write a run's weights, settings, metrics and log into a zip archive",
        "delete": "delete a run's folder",
        "move": "give a waiting run another place in its queue",
    }.items():
        command = actions.add_parser(action, help=help)
        command.add_argument("name", metavar="RUN")
        if action == "show":
            command.add_argument("--json", action="store_true", help="everything, as JSON")
        if action == "resume":
            command.add_argument("--device", help="another device than before")
        if action == "rename":
            command.add_argument("new_name", metavar="NEW")
        if action == "export":
            command.add_argument("--out", type=Path, required=True, metavar="FILE.zip", help="the archive to write")
        if action == "delete":
            command.add_argument("--yes", action="store_true", help="without asking")
        if action == "move":
            command.add_argument("place", metavar="PLACE", type=int, help="1 is the next to start")


def run(args: argparse.Namespace) -> int:
    from fkd.training import launch

    with suppress(OSError):  # runs on a read-only mount can be looked at
        launch.start_waiting()
    if args.action in (None, "list"):
        _print_list(launch.view_all())
    elif args.action == "queue":
        _print_queues()
    elif args.action == "show":
        _show(launch.view(args.name), args.json)
    elif args.action == "stop":
        launch.stop(args.name)
    elif args.action == "resume":
        launch.resume(args.name, args.device)
    elif args.action == "move":
        launch.move(args.name, args.place)
    elif args.action == "rename":
        launch.rename(args.name, args.new_name)
    elif args.action == "export":
        _export(args.name, args.out)
    elif args.action == "delete" and (args.yes or _confirmed(args.name)):
        launch.delete(args.name)
        print(f"deleted the run {args.name}")
    if args.action in ("stop", "resume", "move"):
        _print_list([launch.view(args.name)])
    if args.action == "resume":
        tell_begun(args.name)
    return 0


def tell_begun(name: str) -> None:
    """Say that a run which was handed to the queue trains, or what it waits for."""
    from fkd.training import launch
    from fkd.training.waiting import Queue

    view = launch.view(name)
    device = view.status.get("device", "cpu")
    place = Queue(device).place_of(view.name) if view.state == "waiting" else 0
    does = f"waits for {device}, as number {place} in its queue" if place else "trains in the background"
    print(f"{view.name} {does}; see python -m fkd runs show {view.name}")


def _print_list(views: list[RunView]) -> None:
    rows: list[tuple[str, ...]] = [("RUN", "STATE", "RECIPE", "DEVICE", "EPOCH", "BEST NME %", "LEFT")]
    rows += [_row(view) for view in views]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(view: RunView) -> tuple[str, ...]:
    status, config = view.status, view.config
    epoch = f"{status.get('epoch', '-')}/{config.get('epochs', '-')}"
    nme = status.get("validation_nme")
    left = f"{status['seconds_left'] / 60:.0f} min" if view.state == "running" and "seconds_left" in status else ""
    recipe, device = config.get("recipe", "-"), status.get("device", "-")
    return (view.name, view.state, recipe, device, epoch, "-" if nme is None else f"{nme:.2f}", left)


def _print_queues() -> None:
    from fkd.training.waiting import queues

    waiting = queues()
    if not waiting:
        print("no run waits")
    for device, names in waiting.items():
        for place, name in enumerate(names, start=1):
            print(f"{device}  {place}  {name}")


def _show(view: RunView, as_json: bool) -> None:
    from fkd.training.run import RunFolder

    folder = RunFolder.open(view.name)
    epochs, made_with = folder.read_epochs(), folder.read_made_with()
    if as_json:
        known = {"name": view.name, "state": view.state, "status": view.status, "epochs": epochs}
        print(json.dumps({**known, "config": view.config, "made_with": made_with}, indent=2))
        return
    _print_list([view])
    if reason := view.status.get("reason"):
        print(f"\n{reason}")
    print()
    for head, told in _about(view, folder.best_epoch(), made_with).items():
        print(f"{head:<11}{told}")
    print(f"{'folder':<11}{folder.path}")
    _print_epochs(epochs[-_LAST_EPOCHS:])


def _about(view: RunView, best: dict[str, Any] | None, made_with: dict[str, Any]) -> dict[str, str]:
    """What a run is of, in a line each."""
    from fkd.training.recipes import changes_from_recipe

    told = {"data": str(view.config.get("data"))}
    if split := made_with.get("split"):
        told["faces"] = ", ".join(f"{count:,} {part}" for part, count in split.items())
    if notes := made_with.get("notes"):
        flagged, points, faces = (notes[key] for key in ("flagged_faces", "corrected_points", "corrected_faces"))
        told["notes"] = f"of the faces to train on, {flagged:,} flagged and left out, {faces:,} corrected"
        told["notes"] += f" ({points:,} points)" if points else ""
    if any(left_out := made_with.get("without_box", {}).values()):
        told["left out"] = f"{sum(left_out):,} faces, whose points are too few to cut them out"
    try:
        told["changes"] = " ".join(changes_from_recipe(view.config)) or "none; the recipe as it is"
    except (FkdError, KeyError):  # of another version, which knew other recipes
        told["changes"] = "unknown; its recipe is not known here"
    if best:
        which = f"epoch {best['epoch']}, whose weights are kept" if best["epoch"] else "its start, as none was better"
        told["best"] = f"{which}: NME {best['validation_nme']:.2f} %"
    if versions := made_with.get("versions"):
        told["made with"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return told


def _print_epochs(epochs: list[dict[str, Any]]) -> None:
    columns = {"epoch": "d", "train_loss": ".4g", "validation_nme": ".2f", "validation_rmse_px": ".2f"}
    columns |= {"learning_rate": ".2g", "images_per_s": ".0f"}
    rows = [[name.replace("_", " ") for name in columns]]
    rows += [
        [format(record[name], form) if name in record else "-" for name, form in columns.items()] for record in epochs
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if epochs else []:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def _export(name: str, out: Path) -> None:
    from fkd.paths import written_aside
    from fkd.training.launch import write_zip

    with written_aside(out) as aside, aside.open("wb") as file:
        write_zip(name, file)
    print(out)


def _confirmed(name: str) -> bool:
    if not sys.stdin.isatty():
        raise FkdError(f"Deleting {name!r} needs a yes: add --yes.")
    return input(f"Delete the run {name!r} with its weights? [y/N] ").strip().lower() in ("y", "yes")
