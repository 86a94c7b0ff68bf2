"""`python -m fkd COMMAND`: exit 0 on success, 2 on wrong use, 1 on failure with one clear line.

Each module of this package is a command: `HELP`, `add_arguments(parser)` and `run(args)`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fkd.errors import FkdError, WrongUse
from fkd.progress import Watch, listening

_REDRAWN_EVERY_S, _LOGGED_EVERY_S = 0.2, 10.0
_SILENT_S = 2.0  # what takes longer says in a log too what it is about
COMMANDS = (
    *("predict", "train", "runs", "evaluate", "leaderboard", "submit"),
    *("promote", "card", "export", "data", "bench", "doctor"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    chosen = sys.argv[1:] if arguments is None else arguments
    modules = {name: importlib.import_module(f"fkd.cli.{name}") for name in COMMANDS}
    parser = argparse.ArgumentParser(
        prog="python -m fkd",
        description="Facial keypoint detection.",
        epilog="\n".join(["commands:", *(f"  {name:12} {module.HELP}" for name, module in modules.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,  # argparse's own list breaks lines after long names
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", help="one of those below; each has a --help of its own"
    )
    for name, module in modules.items():
        command = commands.add_parser(name, description=module.HELP)
        if name in chosen[:1]:  # the arguments of the others may need libraries that this one does without
            module.add_arguments(command)
            command.set_defaults(run_command=module.run)  # "run" is a flag of train
    if not chosen:
        parser.print_help(sys.stderr)
        return 2
    args, unknown = parser.parse_known_args(chosen)
    if unknown:  # told by the command, whose usage says what there is
        commands.choices[args.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        with _progress_line():
            return args.run_command(args)
    except WrongUse as error:
        commands.choices[args.command].error(str(error))
    except FkdError as error:
        print(f"fkd: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):  # Ctrl-C, or Ctrl-D in answer to a question
        print("fkd: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


@contextmanager
def _progress_line() -> Iterator[None]:
    """Show the step under way: in one line of the terminal, or, in a log, with a line every so often."""
    on_terminal = sys.stderr.isatty()
    every_s, before, after = (_REDRAWN_EVERY_S, "\r", "\033[K") if on_terminal else (_LOGGED_EVERY_S, "", "\n")
    watch, shown_s = Watch(), time.monotonic() - every_s + (0 if on_terminal else _SILENT_S)

    def show(what: str, share: float) -> None:
        nonlocal shown_s
        watch(what, share)
        is_over = on_terminal and share >= 1
        if time.monotonic() - shown_s > every_s or is_over:
            shown_s = time.monotonic()
            print(f"{before}{'' if is_over else watch.sentence()}", end=after, file=sys.stderr, flush=True)

    try:
        with listening(show):
            yield
    finally:
        if watch.what and on_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
